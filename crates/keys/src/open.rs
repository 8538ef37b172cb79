use std::{path::PathBuf, sync::Arc};

use sea_orm::{Condition, DatabaseConnection, DbErr};

use super::{
    Backends, KeyBackend, SharedObserver,
    aws_kms::{AwsKmsBackend, AwsKmsError},
    local::{KEK_PREFIX, KeyFile, KeyFileError, LocalBackend},
    store,
    unopened::UnopenedBackend,
};
use crate::config::{BackendConfig, KeysConfig, LocalBackendConfig};

/// Opens all configured backends; makes the local key file if it is missing and that is configured.
///
/// # Errors
///
/// [`OpenError`] says which backend, and what to do.
pub async fn open_backends(
    config: &KeysConfig,
    db: &DatabaseConnection,
    observer: &SharedObserver,
) -> Result<Backends, OpenError> {
    let mut active = None;
    let mut others = Vec::new();
    for (name, backend) in &config.backends {
        if let BackendConfig::Local(local) = backend {
            create_if_missing(local, db).await?;
        }
        let opened = open_backend(name, backend, observer).await?;
        if *name == config.active {
            active = Some(opened);
        } else {
            others.push(opened);
        }
    }
    let active = active.ok_or_else(|| OpenError::NoActive(config.active.clone()))?;
    Ok(Backends::new(active, others))
}

/// Opens all configured backends as they are, for an operator: makes no key file, and gives what is wrong with
/// those that cannot be opened. The calls to such a backend fail.
pub async fn open_what_can_be(
    config: &KeysConfig,
    observer: &SharedObserver,
) -> (Backends, Vec<(String, OpenError)>) {
    let mut active: Arc<dyn KeyBackend> = Arc::new(UnopenedBackend::new(&config.active));
    let (mut others, mut errors) = (Vec::new(), Vec::new());
    for (name, backend) in &config.backends {
        match open_backend(name, backend, observer).await {
            Ok(opened) if *name == config.active => active = opened,
            Ok(opened) => others.push(opened),
            Err(error) => errors.push((name.clone(), error)),
        }
    }
    (Backends::new(active, others), errors)
}

/// Opens one backend as it is. Makes nothing, and calls nobody but the services that tell AWS's own
/// configuration.
///
/// # Errors
///
/// [`OpenError`] says what to do.
pub async fn open_backend(
    name: &str,
    config: &BackendConfig,
    observer: &SharedObserver,
) -> Result<Arc<dyn KeyBackend>, OpenError> {
    Ok(match config {
        BackendConfig::Local(local) => {
            Arc::new(LocalBackend::observed(name, &KeyFile::read(&local.file)?, observer.clone()))
        }
        BackendConfig::AwsKms(aws) => Arc::new(AwsKmsBackend::new(name, aws, observer.clone()).await?),
    })
}

/// Makes a key file, but never in place of a lost one.
async fn create_if_missing(config: &LocalBackendConfig, db: &DatabaseConnection) -> Result<(), OpenError> {
    if !config.create_if_missing || config.file.exists() {
        return Ok(());
    }
    let in_use = store::count_by_kek(db, Condition::all()).await.map_err(OpenError::DataKeys)?;
    let orphaned: i64 =
        in_use.iter().filter(|kek| kek.kek_id.starts_with(KEK_PREFIX)).map(|kek| kek.data_keys).sum();
    if orphaned > 0 {
        return Err(OpenError::KeyFileLost { path: config.file.clone(), data_keys: orphaned });
    }
    KeyFile::create(&config.file)?;
    tracing::warn!(
        file = %config.file.display(),
        "made a local key file. Local keys are for development: whoever has the file can open all data"
    );
    Ok(())
}

/// A key backend cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
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
    /// AWS KMS.
    #[error(transparent)]
    AwsKms(#[from] AwsKmsError),
    /// `keys.active` names no backend.
    #[error("keys.active = \"{0}\" names no configured backend")]
    NoActive(String),
}
