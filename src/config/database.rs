use std::{io, num::NonZeroU32, path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// `[database]`: where the data is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite://PATH?mode=rwc` or `postgres://USER:PASSWORD@HOST:PORT/NAME`. A secret.
    #[serde(skip_serializing)]
    pub url: Option<SecretString>,
    /// A file that holds the URL. Instead of `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<PathBuf>,
    /// Most connections of one server.
    pub max_connections: NonZeroU32,
    /// Longest wait for a connection.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Whether a server migrates the schema when it starts. Without, `oubliette-admin migrate` does, and
    /// a server refuses to start on an outdated schema.
    pub migrate_on_start: bool,
}

impl DatabaseConfig {
    /// The database's URL, from the value or from the file.
    ///
    /// # Errors
    ///
    /// [`DatabaseUrlError`] if there is none, or two, or the file cannot be read.
    pub fn url(&self) -> Result<SecretString, DatabaseUrlError> {
        match (&self.url, &self.url_file) {
            (Some(_), Some(_)) => Err(DatabaseUrlError::Both),
            (None, None) => Err(DatabaseUrlError::Neither),
            (Some(url), None) => Ok(url.clone()),
            (None, Some(path)) => {
                let url = std::fs::read_to_string(path)
                    .map_err(|source| DatabaseUrlError::File { path: path.clone(), source })?;
                Ok(url.trim().into())
            }
        }
    }

    /// A database URL without its password, for people to read.
    #[must_use]
    pub fn redact(url: &SecretString) -> String {
        let Ok(mut parsed) = url::Url::parse(url.expose_secret()) else { return "[redacted]".to_owned() };
        // In what has no host, a password can stand anywhere: only SQLite's path is known to hold none.
        let unknown_form = !parsed.has_host() && parsed.scheme() != "sqlite";
        // Drivers take passwords from the query, too.
        let secret_in_query = parsed.query_pairs().any(|(key, _)| key.contains("pass"));
        if unknown_form
            || secret_in_query
            || (parsed.password().is_some() && parsed.set_password(Some("redacted")).is_err())
        {
            return "[redacted]".to_owned();
        }
        parsed.into()
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            max_connections: const { NonZeroU32::new(16).unwrap() },
            connect_timeout: Duration::from_secs(5),
            migrate_on_start: false,
        }
    }
}

/// Where the database is cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Neither key is set.
    #[error("no database is configured: set database.url, or database.url_file, or OUBLIETTE_DATABASE__URL")]
    Neither,
    /// Both keys are set.
    #[error(
        "database.url and database.url_file are both set: remove one (`oubliette-admin config` shows who set them)"
    )]
    Both,
    /// The file cannot be read.
    #[error("database.url_file `{}` cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_redacted_wherever_it_stands() {
        for (url, expected) in [
            ("postgres://ada:s3cret@db:5432/x", "postgres://ada:redacted@db:5432/x"),
            ("postgres://ada@db/x?password=s3cret", "[redacted]"),
            ("not a url: s3cret", "[redacted]"),
            ("ada:s3cret@db:5432/x", "[redacted]"),
            ("postgres:ada:s3cret@db:5432/x", "[redacted]"),
            ("sqlite:data/x.db", "sqlite:data/x.db"),
            ("sqlite://data/x.db?mode=rwc", "sqlite://data/x.db?mode=rwc"),
        ] {
            assert_eq!(DatabaseConfig::redact(&url.into()), expected);
        }
    }
}
