use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Host;

use crate::{
    loopback::is_loopback,
    secret_file::{self, Unreadable},
};

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
    /// Whether a database elsewhere must prove who it is: whether its URL has to say `sslmode=verify-full`.
    pub require_verified_tls: bool,
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
    /// An SQLite file, which is made if it is missing. Its path may have any characters in it that UTF-8 has; in a URL, some have a
    /// meaning of their own.
    #[must_use]
    pub fn sqlite(file: impl AsRef<Path>) -> Self {
        let encode = |&byte: &u8| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'/' | b'.' | b'-' | b'_' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        };
        let path: String = file.as_ref().as_os_str().as_encoded_bytes().iter().map(encode).collect();
        Self { url: Some(format!("sqlite://{path}?mode=rwc").into()), ..Self::default() }
    }

    /// The database's URL, from the value or from the file.
    ///
    /// # Errors
    ///
    /// [`DatabaseUrlError`] if there is none, or two, or the file cannot be read, or the connection would not
    /// be as safe as required.
    pub fn url(&self) -> Result<SecretString, DatabaseUrlError> {
        let url = self.unchecked_url()?;
        if self.require_verified_tls && !is_safe(&url) {
            return Err(DatabaseUrlError::Unverified);
        }
        if wants_a_choice_of_hosts(&url) {
            return Err(DatabaseUrlError::TargetSessionAttrs);
        }
        Ok(url)
    }

    fn unchecked_url(&self) -> Result<SecretString, DatabaseUrlError> {
        match (&self.url, &self.url_file) {
            (Some(_), Some(_)) => Err(DatabaseUrlError::Both),
            (None, None) => Err(DatabaseUrlError::Neither),
            (Some(url), None) => Ok(url.clone()),
            (None, Some(path)) => {
                let url = std::fs::read_to_string(path)
                    .map_err(|error| secret_file::explain(path, error))
                    .map_err(|source| DatabaseUrlError::File { path: path.clone(), source })?;
                Ok(url.trim().into())
            }
        }
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            require_verified_tls: false,
            max_connections: const { NonZeroU32::new(16).unwrap() },
            connect_timeout: Duration::from_secs(5),
            migrate_on_start: false,
        }
    }
}

/// Whether nobody on the network can take the database's place. Asks the driver, which takes the host and the
/// mode from several places.
fn is_safe(url: &SecretString) -> bool {
    if url.expose_secret().starts_with("sqlite:") {
        return true;
    }
    let Ok(options) = url.expose_secret().parse::<PgConnectOptions>() else { return false };
    let here = options.get_socket().is_some()
        || options.get_host().starts_with('/')
        || Host::parse(options.get_host()).is_ok_and(|host| is_loopback(&host));
    here || matches!(options.get_ssl_mode(), PgSslMode::VerifyFull)
}

/// Whether the URL relies on what libpq does and the driver only warns of: to connect to that host which takes writes.
fn wants_a_choice_of_hosts(url: &SecretString) -> bool {
    let Ok(url) = url::Url::parse(url.expose_secret()) else { return false };
    url.query_pairs().any(|(key, value)| key == "target_session_attrs" && value != "any")
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
    /// Somebody on the network could take the database's place, and be sent the password and all data.
    #[error(
        "database.require_verified_tls: the database's URL must say that the server's certificate is verified; add to it: ?sslmode=verify-full&sslrootcert=/PATH/OF/THE/CA.pem"
    )]
    Unverified,
    /// The driver would ignore it, and connect to a standby.
    #[error(
        "the database's URL has target_session_attrs, which is not supported: remove it, and name a host that is always the primary (a virtual address, or your provider's read-write endpoint)"
    )]
    TargetSessionAttrs,
    /// The file cannot be read.
    #[error("database.url_file `{}` cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Unreadable,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_elsewhere_must_be_verified() {
        for (url, safe) in [
            ("postgres://ada@db/x?sslmode=verify-full", true),
            ("postgres://ada@db/x?sslmode=verify-full&sslrootcert=/ca.pem", true),
            ("postgresql://ada@db/x?ssl-mode=verify-full", true),
            ("postgres://ada@db/x", false),
            ("postgres://ada@db/x?sslmode=verify-ca&sslrootcert=/ca.pem", false),
            ("postgres://ada@db/x?sslmode=require", false),
            ("postgres://ada@db/x?sslmode=verify-full&sslmode=prefer", false),
            ("postgres://ada@localhost/x?host=db", false),
            ("postgres://ada@localhost.example.com/x", false),
            ("postgres://ada@127.0.0.1.example.com/x", false),
            ("postgres://ada@10.0.0.1/x", false),
            ("postgres://ada@[2001:db8::1]/x", false),
            ("postgres://ada@localhost/x", true),
            ("postgres://ada@127.0.0.1:5433/x?sslmode=disable", true),
            ("postgres://ada@[::1]/x", true),
            ("postgres://ada@db/x?host=/var/run/postgresql", true),
            ("postgres://%2Fvar%2Frun%2Fpostgresql/x", true),
            ("sqlite://data/x.db?mode=rwc", true),
            ("not a url", false),
        ] {
            let config =
                DatabaseConfig { url: Some(url.into()), require_verified_tls: true, ..Default::default() };
            assert_eq!(config.url().is_ok(), safe, "{url}");
        }
    }

    #[tokio::test]
    async fn a_path_may_have_characters_that_mean_something_in_a_url() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a?b#c%41 d+é").join(":memory:?mode=memory");
        let config = DatabaseConfig::sqlite(&file);
        super::super::connect(&config).await.unwrap().close().await.unwrap();
        assert!(file.is_file());
    }

    #[test]
    fn what_the_driver_would_ignore_is_refused() {
        for (query, works) in [
            ("target_session_attrs=read-write", false),
            ("sslmode=disable&target_session_attrs=primary", false),
            ("target_session_attrs=any", true),
            ("application_name=target_session_attrs", true),
        ] {
            let url = format!("postgres://ada@localhost/x?{query}");
            let config = DatabaseConfig { url: Some(url.into()), ..Default::default() };
            assert_eq!(config.url().is_ok(), works, "{query}");
        }
    }
}
