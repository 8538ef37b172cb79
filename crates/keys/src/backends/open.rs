use std::{error::Error, sync::Arc};

use sea_orm::DbErr;

use super::{Backends, KeyBackend, KeysInUse, SettingError, unopened::UnopenedBackend};
use crate::{
    SharedObserver,
    config::{BackendConfig, KeysConfig},
};

/// Opens all configured backends; makes what is missing where that is configured, and nothing in use would be lost with it.
///
/// # Errors
///
/// [`OpenBackendError`] says which backend, and what to do.
pub async fn open_backends(
    config: &KeysConfig,
    in_use: &dyn KeysInUse,
    observer: &SharedObserver,
) -> Result<Backends, OpenBackendError> {
    let mut active = None;
    let mut others = Vec::new();
    for (name, backend) in &config.backends {
        let settings = backend.read().map_err(|error| OpenBackendError::settings(name, error))?;
        settings.prepare(in_use).await?;
        let opened = settings.open(name, observer).await?;
        if *name == config.active {
            active = Some(opened);
        } else {
            others.push(opened);
        }
    }
    let active = active.ok_or_else(|| OpenBackendError::NoActive(config.active.clone()))?;
    Ok(Backends::new(active, others, config, observer.clone()))
}

/// Opens all configured backends as they are, for an operator: makes no key file, and gives what is wrong with
/// those that cannot be opened. The calls to such a backend fail.
pub async fn open_what_can_be(
    config: &KeysConfig,
    observer: &SharedObserver,
) -> (Backends, Vec<(String, OpenBackendError)>) {
    let mut active: Arc<dyn KeyBackend> = Arc::new(UnopenedBackend::new(&config.active));
    let (mut others, mut errors) = (Vec::new(), Vec::new());
    for (name, backend) in &config.backends {
        match open_backend(name, backend, observer).await {
            Ok(opened) if *name == config.active => active = opened,
            Ok(opened) => others.push(opened),
            Err(error) => errors.push((name.clone(), error)),
        }
    }
    (Backends::new(active, others, config, observer.clone()), errors)
}

/// Opens one backend as it is, and without the guard that [`Backends`] give it. Makes nothing, and calls nobody but the
/// services that tell AWS's own configuration.
///
/// # Errors
///
/// [`OpenBackendError`] says what to do.
pub async fn open_backend(
    name: &str,
    config: &BackendConfig,
    observer: &SharedObserver,
) -> Result<Arc<dyn KeyBackend>, OpenBackendError> {
    let settings = config.read().map_err(|error| OpenBackendError::settings(name, error))?;
    settings.open(name, observer).await
}

/// A key backend cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenBackendError {
    /// The backend's own reason, which says what to do.
    #[error(transparent)]
    Backend(Box<dyn Error + Send + Sync>),
    /// Its settings, where nobody has checked them before.
    #[error("keys.backends.{backend}: {error}")]
    Settings {
        /// The backend.
        backend: String,
        /// What is wrong with them.
        error: SettingError,
    },
    /// The data keys cannot be counted.
    #[error("the data keys cannot be read")]
    DataKeys(#[source] DbErr),
    /// `keys.active` names no backend.
    #[error("keys.active = \"{0}\" names no configured backend")]
    NoActive(String),
}

impl OpenBackendError {
    /// A backend's own reason.
    pub fn backend(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Backend(Box::new(error))
    }

    fn settings(backend: &str, error: SettingError) -> Self {
        Self::Settings { backend: backend.to_owned(), error }
    }
}
