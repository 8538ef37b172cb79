//! Wrapping keys in a file, for development and tests: whoever has the file has every data key.
//!
//! A data key is wrapped with AES-256-GCM-SIV (RFC 8452), bound to the wrapping key's id and the key
//! context. The wrapped bytes: format version 1, algorithm 1, a 96-bit random nonce, the sealed data key
//! (32 bytes and a 16-byte tag): 62 in all.
//!
//! A change of the file takes effect in running servers by itself: they look at it each second, and before they wrap. What it
//! had once opens data keys for as long as a server runs; what it has now wraps them.

mod editor;
mod key_file;
mod keys;
mod kind;
mod settings;

use std::{num::NonZeroUsize, sync::Arc};

use async_trait::async_trait;

pub use editor::KeyFileEditor;
pub use key_file::{KeyFile, KeyFileError, LocalKey};
use keys::{FileKeys, Unusable};
pub(crate) use kind::KIND;
pub use settings::{KeyFileLost, LocalBackendConfig};

use super::{
    BackendError, BackendKind, ErrorClass, KekId, KeyBackend, KeyContext, Ownership, Realm, SharedObserver,
    WrappedKey, backends::probe,
};
use crate::envelope::KeyMaterial;

/// The key backend over a local key file.
#[derive(Debug)]
pub struct LocalBackend {
    name: String,
    keys: Arc<FileKeys>,
}

/// Keys of a page that are unwrapped without a pause: it takes about a microsecond each.
const BATCH_SIZE: NonZeroUsize = const { NonZeroUsize::new(128).unwrap() };

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
        Self::observed(name, file, Arc::new(()))
    }

    /// The same; the observer is told whether the file can be used.
    #[must_use]
    pub fn observed(name: impl Into<String>, file: &KeyFile, observer: SharedObserver) -> Self {
        let name = name.into();
        let keys = Arc::new(FileKeys::new(&name, file, observer));
        Self { name, keys }
    }

    fn unwrap_now(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<KeyMaterial, BackendError> {
        let key = self.keys.to_unwrap(&wrapped.kek_id).ok_or(ErrorClass::KeyNotFound);
        key.and_then(|key| key.unwrap(&wrapped.bytes, context)).map_err(|class| self.error(class))
    }

    /// What is asked of the file, if it has it.
    fn usable<T>(&self, found: Result<T, Unusable>) -> Result<T, BackendError> {
        found.map_err(|why| BackendError::new(&self.name, ErrorClass::KeyNotFound, why))
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
        let is_ours = kek_id.as_str().starts_with(KEK_PREFIX) && self.keys.to_unwrap(kek_id).is_some();
        if is_ours { Ownership::Certain } else { Ownership::No }
    }

    fn realm(&self) -> Realm {
        Realm::of(KIND.name(), [Some(&*self.keys.file().to_string_lossy())])
    }

    async fn current(&self, _: &KeyContext) -> Result<KekId, BackendError> {
        self.usable(self.keys.primary())
    }

    async fn wrap(
        &self,
        material: &KeyMaterial,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        let to = self.usable(self.keys.to_wrap(to))?;
        to.wrap(material, context).map_err(|class| self.error(class))
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<KeyMaterial, BackendError> {
        self.unwrap_now(wrapped, context)
    }

    fn unwraps_in_process(&self) -> bool {
        true
    }

    fn batch_size(&self) -> Option<NonZeroUsize> {
        Some(BATCH_SIZE)
    }

    async fn unwrap_many(
        &self,
        keys: &[(&WrappedKey, &KeyContext)],
    ) -> Vec<Result<KeyMaterial, BackendError>> {
        keys.iter().map(|(wrapped, context)| self.unwrap_now(wrapped, context)).collect()
    }

    async fn look(&self) {
        self.keys.follow();
    }

    /// Reads the file again: a server whose key file is gone runs on, and loses the data with its end.
    async fn check(&self) -> Result<KekId, BackendError> {
        let keys = self.keys.clone();
        let read = tokio::task::spawn_blocking(move || keys.read_again()).await;
        read.map_err(|error| BackendError::new(&self.name, ErrorClass::Unavailable, error))?;
        probe(self).await
    }
}
