//! Wrapping keys in a file, for development and tests: whoever has the file has every data key.
//!
//! A data key is wrapped with AES-256-GCM-SIV (RFC 8452), bound to the wrapping key's id and the key
//! context. The wrapped bytes: format version 1, algorithm 1, a 96-bit random nonce, the sealed data key
//! (32 bytes and a 16-byte tag): 62 in all.

mod key_file;
mod wrapping_key;

use std::{collections::BTreeMap, path::PathBuf};

use async_trait::async_trait;

pub use key_file::{KeyFile, KeyFileError};
use wrapping_key::WrappingKey;

use super::{BackendError, ErrorClass, GeneratedKey, KekId, KeyBackend, KeyContext, Ownership, WrappedKey};
use crate::envelope::KeyMaterial;

/// The key backend over a local key file.
#[derive(Debug)]
pub struct LocalBackend {
    name: String,
    file: PathBuf,
    primary: KekId,
    keys: BTreeMap<KekId, WrappingKey>,
}

/// What the ids of local wrapping keys begin with.
pub const KEK_PREFIX: &str = "local:";

impl LocalBackend {
    /// A backend over the wrapping keys of a key file.
    #[must_use]
    pub fn new(name: impl Into<String>, file: &KeyFile) -> Self {
        let keys = file
            .keys()
            .map(|(name, material)| {
                let kek_id = kek_id(name);
                (kek_id.clone(), WrappingKey::new(kek_id, material))
            })
            .collect();
        Self { name: name.into(), file: file.path().to_owned(), primary: kek_id(file.primary()), keys }
    }

    fn key(&self, kek_id: &KekId) -> Result<&WrappingKey, BackendError> {
        self.keys.get(kek_id).ok_or_else(|| self.error(ErrorClass::KeyNotFound))
    }

    fn error(&self, class: ErrorClass) -> BackendError {
        BackendError { backend: self.name.clone(), class, source: None }
    }
}

fn kek_id(name: &str) -> KekId {
    KekId::new(format!("{KEK_PREFIX}{name}"))
}

#[async_trait]
impl KeyBackend for LocalBackend {
    fn name(&self) -> &str {
        &self.name
    }

    fn owns(&self, kek_id: &KekId) -> Ownership {
        if self.keys.contains_key(kek_id) { Ownership::Certain } else { Ownership::No }
    }

    async fn generate(&self, context: &KeyContext) -> Result<GeneratedKey, BackendError> {
        let material = KeyMaterial::generate().map_err(|error| BackendError {
            source: Some(error.into()),
            ..self.error(ErrorClass::Unavailable)
        })?;
        let wrapped = self.key(&self.primary)?.wrap(&material, context).map_err(|class| self.error(class))?;
        Ok(GeneratedKey { material, wrapped })
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<KeyMaterial, BackendError> {
        self.key(&wrapped.kek_id)?.unwrap(&wrapped.bytes, context).map_err(|class| self.error(class))
    }

    async fn rewrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<WrappedKey, BackendError> {
        let material = self.unwrap(wrapped, context).await?;
        self.key(&self.primary)?.wrap(&material, context).map_err(|class| self.error(class))
    }

    /// Reads the file again: a server whose key file is gone runs on, and loses the data with its end.
    async fn check(&self) -> Result<(), BackendError> {
        let lost = |why: String| BackendError::new(&self.name, ErrorClass::KeyNotFound, why);
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || KeyFile::read(&file)).await;
        let file = read.map_err(|error| lost(error.to_string()))?.map_err(|error| lost(error.to_string()))?;
        let stored = Self::new(&self.name, &file);
        let context = KeyContext::of_nobody();
        let wrapped = self.generate(&context).await?.wrapped;
        match stored.unwrap(&wrapped, &context).await {
            Ok(_) => Ok(()),
            Err(_) => Err(lost(format!(
                "key file `{}` no longer has the key `{}`",
                file.path().display(),
                self.primary
            ))),
        }
    }
}
