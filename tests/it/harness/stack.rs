use std::path::{Path, PathBuf};

use oubliette::config::DatabaseConfig;
use reqwest::Url;
use tempfile::TempDir;

use super::{Proxy, TestBackend, postgres};

/// What a server stands on: a fresh, empty database of a test's own, and what wraps its data keys.
#[derive(Debug)]
pub(crate) enum TestStack {
    Sqlite { folder: TempDir },
    Postgres { name: String, localstack: bool },
}

impl TestStack {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite { folder: TempDir::new().unwrap() }
    }

    pub(crate) fn postgres() -> Self {
        Self::on_postgres(false)
    }

    /// PostgreSQL, and wrapping keys in LocalStack.
    pub(crate) fn localstack() -> Self {
        Self::on_postgres(true)
    }

    fn on_postgres(localstack: bool) -> Self {
        let name = format!("test_{:016x}", rand::random::<u64>());
        postgres::server().create_database(&name);
        Self::Postgres { name, localstack }
    }

    /// Puts what the folder holds, `sqlite.db` or `postgres.sql`, into the database, which is empty.
    pub(crate) fn restore(&self, from: &Path) {
        match self {
            Self::Sqlite { folder } => {
                std::fs::copy(from.join("sqlite.db"), folder.path().join("test.db")).unwrap();
            }
            Self::Postgres { name, .. } => {
                let dump = std::fs::read_to_string(from.join("postgres.sql")).unwrap();
                postgres::server().psql(name, &dump);
            }
        }
    }

    /// A key backend that the test can watch and disturb.
    pub(crate) async fn backend(&self) -> TestBackend {
        match self {
            Self::Postgres { localstack: true, .. } => TestBackend::localstack().await,
            _ => TestBackend::local(),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite { folder } => format!("sqlite://{}/test.db?mode=rwc", folder.path().display()),
            Self::Postgres { name, .. } => postgres::server().url(name),
        }
    }

    /// PostgreSQL behind something that can be cut: that, and the URL that leads through it.
    pub(crate) async fn behind_a_proxy(&self) -> (Proxy, String) {
        let mut url: Url = self.url().parse().unwrap();
        let proxy = Proxy::start(format!("127.0.0.1:{}", url.port().unwrap())).await;
        url.set_port(Some(proxy.port())).unwrap();
        (proxy, url.into())
    }

    pub(crate) fn config(&self) -> DatabaseConfig {
        DatabaseConfig { url: Some(self.url().into()), migrate_on_start: true, ..DatabaseConfig::default() }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres { .. })
    }

    /// Where the database keeps its files.
    pub(crate) fn folder(&self) -> PathBuf {
        match self {
            Self::Sqlite { folder } => folder.path().to_owned(),
            Self::Postgres { .. } => postgres::server().data_dir().to_owned(),
        }
    }

    /// Sees to it that the files hold what the database holds.
    pub(crate) fn flush(&self) {
        if self.is_postgres() {
            postgres::server().checkpoint();
        }
    }

    /// Whether any file of the database contains one of `needles`, as it stands there.
    pub(crate) fn files_contain(&self, needle: &[u8]) -> bool {
        self.flush();
        files_contain(&self.folder(), needle)
    }
}

/// Whether any file in the folder, or in those within, contains `needle`.
pub(super) fn files_contain(folder: &Path, needle: &[u8]) -> bool {
    let finder = memchr::memmem::Finder::new(needle);
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return files_contain(&path, needle);
        }
        // PostgreSQL removes files while we look.
        std::fs::read(&path).is_ok_and(|bytes| finder.find(&bytes).is_some())
    })
}
