use oubliette::{config::DatabaseConfig, keys::local::KeyFile};
use tempfile::TempDir;

use crate::{command::Admin, postgres};

/// What each contender begins with: an empty database.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    url: String,
    pub(crate) admin: Admin,
}

impl Site {
    /// `attributes` is the section of the configuration.
    pub(crate) fn new(kind: &str, name: &str, attributes: &str) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let url = if kind == "SQLite" {
            format!("sqlite://{}?mode=rwc", folder.path().join("bench.db").display())
        } else {
            postgres::server().create_database(name);
            postgres::server().url(name)
        };
        let file = folder.path().join("keys.toml");
        drop(KeyFile::create(&file)?);
        let keys = format!(
            "[keys]\nactive = \"local\"\n[keys.backends.local]\nkind = \"local\"\nfile = \"{}\"\n{}",
            file.display(),
            attributes,
        );
        let admin = Admin::new(&url, &keys)?;
        Ok(Self { folder, url, admin })
    }

    pub(crate) fn config(&self) -> anyhow::Result<DatabaseConfig> {
        Ok(serde_json::from_value(serde_json::json!({ "url": self.url }))?)
    }
}
