//! Putting the rooms together: from a configuration to something that can be served.

use std::{path::PathBuf, sync::Arc};

use sea_orm::{DatabaseConnection, DbErr};

use crate::{
    config::{BackendConfig, Config, LocalBackendConfig},
    database::{self, DatabaseError},
    graphql,
    http::{self, HttpState},
    keys::{
        Backends, KeyBackend, Keyring,
        local::{KEK_PREFIX, KeyFile, KeyFileError, LocalBackend},
        store,
    },
    users::{UserError, Users},
};

/// A whole Oubliette, ready to serve.
#[derive(Debug)]
pub struct App {
    /// All routes.
    pub router: axum::Router,
    /// The users behind them.
    pub users: Users,
    /// The keyring behind them.
    pub keyring: Keyring,
    /// The database behind them.
    pub db: DatabaseConnection,
}

impl App {
    /// Connects to the database, sees to its schema, and opens the key backends.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what to do.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let db = database::connect(&config.database).await?;
        if config.database.migrate_on_start {
            database::migrate(&db).await?;
        } else {
            database::require_current_schema(&db).await?;
        }
        let backends = open_backends(config, &db).await?;
        let app = Self::assemble(config, db, backends);
        let returned = app.users.forget_the_returned().await.map_err(StartError::Forget)?;
        if returned > 0 {
            tracing::warn!(
                returned,
                "users who had been forgotten were back, as after a restored backup; they are forgotten again"
            );
        }
        Ok(app)
    }

    /// Puts an app together over parts that are ready.
    #[must_use]
    pub fn assemble(config: &Config, db: DatabaseConnection, backends: Backends) -> Self {
        let keyring = Keyring::new(db.clone(), backends, &config.keys);
        let users = Users::new(db.clone(), keyring.clone());
        let schema = graphql::schema(users.clone(), &config.graphql);
        let state = HttpState { schema, db: db.clone(), keyring: keyring.clone() };
        Self { router: http::router(state, &config.http), users, keyring, db }
    }
}

async fn open_backends(config: &Config, db: &DatabaseConnection) -> Result<Backends, StartError> {
    let mut active = None;
    let mut others = Vec::new();
    for (name, BackendConfig::Local(local)) in &config.keys.backends {
        let backend: Arc<dyn KeyBackend> = Arc::new(open_local(name, local, db).await?);
        if *name == config.keys.active {
            active = Some(backend);
        } else {
            others.push(backend);
        }
    }
    let active = active.ok_or(StartError::NoActiveBackend)?;
    Ok(Backends::new(active, others))
}

async fn open_local(
    name: &str,
    config: &LocalBackendConfig,
    db: &DatabaseConnection,
) -> Result<LocalBackend, StartError> {
    let file = match KeyFile::read(&config.file) {
        Err(error) if error.is_missing() && config.create_if_missing => create_key_file(config, db).await?,
        read => read?,
    };
    Ok(LocalBackend::new(name, &file))
}

/// Makes a key file, but never in place of a lost one.
async fn create_key_file(
    config: &LocalBackendConfig,
    db: &DatabaseConnection,
) -> Result<KeyFile, StartError> {
    let in_use = store::count_by_kek(db).await.map_err(StartError::DataKeys)?;
    let orphaned: i64 =
        in_use.iter().filter(|kek| kek.kek_id.starts_with(KEK_PREFIX)).map(|kek| kek.data_keys).sum();
    if orphaned > 0 {
        return Err(StartError::KeyFileLost { path: config.file.clone(), data_keys: orphaned });
    }
    let file = KeyFile::create(&config.file)?;
    tracing::warn!(
        file = %config.file.display(),
        "made a local key file. Local keys are for development: whoever has the file can open all data"
    );
    Ok(file)
}

/// The app cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The local key file.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The key file is gone, and data needs it.
    #[error("the key file `{}` is missing, and {data_keys} data key(s) in the database need a local wrapping key: restore the file. Without it, their data is lost; to start over, delete the database as well", path.display())]
    KeyFileLost {
        /// Where the file should be.
        path: PathBuf,
        /// How many data keys need one.
        data_keys: i64,
    },
    /// The data keys cannot be counted.
    #[error("the data keys cannot be read")]
    DataKeys(#[source] DbErr),
    /// Users who were forgotten are back, and could not be forgotten again.
    #[error("the erasure ledger cannot be compared with the users")]
    Forget(#[source] UserError),
    /// `keys.active` names no backend.
    #[error("keys.active names no configured backend")]
    NoActiveBackend,
}
