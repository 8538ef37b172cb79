//! Wrapping keys in a file, for development and tests: whoever has the file has every data key.
//!
//! A data key is wrapped with AES-256-GCM-SIV (RFC 8452), bound to the wrapping key's id and the key
//! context. The wrapped bytes: format version 1, algorithm 1, a 96-bit random nonce, the sealed data key
//! (32 bytes and a 16-byte tag): 62 in all.
//!
//! A change of the file takes effect in running servers by itself.

mod editor;
mod key_file;
mod keys;
mod wrapping_key;

use async_trait::async_trait;

pub use editor::KeyFileEditor;
pub use key_file::{KeyFile, KeyFileError, LocalKey};
use keys::Keys;

use super::{BackendError, ErrorClass, GeneratedKey, KekId, KeyBackend, KeyContext, Ownership, WrappedKey};
use crate::envelope::KeyMaterial;

/// The key backend over a local key file.
#[derive(Debug)]
pub struct LocalBackend {
    name: String,
    keys: Keys,
}

/// What the ids of local wrapping keys begin with.
pub const KEK_PREFIX: &str = "local:";

/// The id of a local wrapping key.
#[must_use]
pub fn kek_id(name: &str) -> KekId {
    KekId::new(format!("{KEK_PREFIX}{name}"))
}

impl LocalBackend {
    /// A backend over the wrapping keys of a key file.
    #[must_use]
    pub fn new(name: impl Into<String>, file: &KeyFile) -> Self {
        Self { name: name.into(), keys: Keys::new(file) }
    }

    fn wrap_under(
        &self,
        kek_id: &KekId,
        material: &KeyMaterial,
        context: &KeyContext,
    ) -> Result<WrappedKey, BackendError> {
        let key = self.keys.find(kek_id).ok_or(ErrorClass::KeyNotFound);
        key.and_then(|key| key.wrap(material, context)).map_err(|class| self.error(class))
    }

    fn error(&self, class: ErrorClass) -> BackendError {
        BackendError { backend: self.name.clone(), class, source: None }
    }
}

#[async_trait]
impl KeyBackend for LocalBackend {
    fn name(&self) -> &str {
        &self.name
    }

    fn owns(&self, kek_id: &KekId) -> Ownership {
        let is_ours = kek_id.as_str().starts_with(KEK_PREFIX) && self.keys.find(kek_id).is_some();
        if is_ours { Ownership::Certain } else { Ownership::No }
    }

    fn realm(&self) -> String {
        self.keys.file().display().to_string()
    }

    async fn current(&self) -> Result<KekId, BackendError> {
        Ok(self.keys.primary())
    }

    async fn generate(&self, context: &KeyContext) -> Result<GeneratedKey, BackendError> {
        let material = KeyMaterial::generate()
            .map_err(|error| BackendError::new(&self.name, ErrorClass::Unavailable, error))?;
        let wrapped = self.wrap_under(&self.keys.primary(), &material, context)?;
        Ok(GeneratedKey { material, wrapped })
    }

    async fn wrap(
        &self,
        material: &KeyMaterial,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        self.wrap_under(to, material, context)
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<KeyMaterial, BackendError> {
        let key = self.keys.find(&wrapped.kek_id).ok_or(ErrorClass::KeyNotFound);
        key.and_then(|key| key.unwrap(&wrapped.bytes, context)).map_err(|class| self.error(class))
    }

    async fn rewrap(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        let [from, to] =
            self.keys.find_two([&wrapped.kek_id, to]).map(|key| key.ok_or(ErrorClass::KeyNotFound));
        let material = from.and_then(|from| from.unwrap(&wrapped.bytes, context));
        let rewrapped = material.and_then(|material| to?.wrap(&material, context));
        rewrapped.map_err(|class| self.error(class))
    }

    /// Reads the file again: a server whose key file is gone runs on, and loses the data with its end.
    async fn check(&self) -> Result<(), BackendError> {
        let lost = |why: String| BackendError::new(&self.name, ErrorClass::KeyNotFound, why);
        let path = self.keys.file().to_owned();
        let read = tokio::task::spawn_blocking(move || KeyFile::read(&path)).await;
        let file = read.map_err(|error| lost(error.to_string()))?.map_err(|error| lost(error.to_string()))?;
        let stored = Self::new(&self.name, &file);
        let context = KeyContext::of_nobody();
        let wrapped = self.generate(&context).await?.wrapped;
        match stored.unwrap(&wrapped, &context).await {
            Ok(_) => Ok(()),
            Err(_) => Err(lost(format!(
                "key file `{}` no longer has the key `{}`",
                file.path().display(),
                wrapped.kek_id
            ))),
        }
    }
}
