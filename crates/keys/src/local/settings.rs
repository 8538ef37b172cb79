use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{KEK_PREFIX, KeyFile, LocalBackend};
use crate::{
    Allowances, BackendSettings, KeyBackend, KeysInUse, OpenBackendError, SettingError, SharedObserver,
};

/// A local key backend.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LocalBackendConfig {
    /// The key file: TOML, mode 0600.
    pub file: PathBuf,
    /// Whether to make the file, with one fresh wrapping key, if it is missing. Only in the profile
    /// `local`.
    #[serde(default)]
    pub create_if_missing: bool,
}

#[async_trait]
impl BackendSettings for LocalBackendConfig {
    fn check(&self, allowances: Allowances) -> Result<(), SettingError> {
        if self.create_if_missing && !allowances.create_key_files {
            return Err(SettingError::of(
                "create_if_missing",
                "works in the profile `local` only: elsewhere, a missing key file is a lost one",
            ));
        }
        Ok(())
    }

    /// Makes a key file, but never in place of a lost one.
    async fn prepare(&self, in_use: &dyn KeysInUse) -> Result<(), OpenBackendError> {
        if !self.create_if_missing || self.file.exists() {
            return Ok(());
        }
        let data_keys = in_use.count(KEK_PREFIX).await.map_err(OpenBackendError::DataKeys)?;
        if data_keys > 0 {
            return Err(OpenBackendError::backend(KeyFileLost { path: self.file.clone(), data_keys }));
        }
        KeyFile::create(&self.file).map_err(OpenBackendError::backend)?;
        tracing::warn!(
            file = %self.file.display(),
            "made a local key file. Local keys are for development: whoever has the file can open all data"
        );
        Ok(())
    }

    async fn open(
        &self,
        name: &str,
        observer: &SharedObserver,
    ) -> Result<Arc<dyn KeyBackend>, OpenBackendError> {
        let file = KeyFile::read(&self.file).map_err(OpenBackendError::backend)?;
        Ok(Arc::new(LocalBackend::observed(name, &file, observer.clone())))
    }

    fn key_file(&self) -> Option<&Path> {
        Some(&self.file)
    }
}

/// The key file is gone, and data needs it.
#[derive(Debug, thiserror::Error)]
#[error("the key file `{}` is missing, and {data_keys} data key(s) in the database need a local wrapping key: restore the file. Without it, their data is lost; to start over, delete the database as well", path.display())]
pub struct KeyFileLost {
    /// Where the file should be.
    pub path: PathBuf,
    /// How many data keys need one.
    pub data_keys: u64,
}
