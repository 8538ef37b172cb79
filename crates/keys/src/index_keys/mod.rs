//! Index keys: what makes the tags by which values are found again, one for each epoch, wrapped as data keys are.
//!
//! Derived from nobody's data key: it outlives each of them, and ends with its epoch. A process opens each once, and keeps it.

mod rewrap;
mod store;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub(crate) use self::rewrap::{count_by_kek, find, remaining, replace, wrapped_at};
pub use self::store::{all, count_under, delete, insert};

use crate::{Backends, GeneratedKey, KeyContext, KeyringError, WrappedKey, envelope::IndexKey};

/// Which index key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IndexKeyId {
    /// A counter, from 1.
    pub epoch: i32,
    /// Random: after a rollback of the database, the counter gives out the same epoch again, for another key.
    pub identity: Uuid,
}

/// An index key in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredIndexKey {
    /// Which.
    pub id: IndexKeyId,
    /// What its backend opens.
    pub wrapped: WrappedKey,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// An index key that is not stored yet.
#[derive(Debug)]
pub struct NewIndexKey {
    /// Which.
    pub id: IndexKeyId,
    wrapped: WrappedKey,
}

impl IndexKeyId {
    /// What is bound to the wrapped key.
    pub(crate) fn context(self) -> KeyContext {
        KeyContext::new("index", [("epoch", self.epoch.to_string()), ("id", self.identity.to_string())])
    }
}

/// The open index keys of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct IndexKeys {
    backends: Backends,
    open: Arc<Mutex<HashMap<IndexKeyId, Arc<IndexKey>>>>,
}

impl IndexKeys {
    /// None is open yet.
    pub(crate) fn new(backends: Backends) -> Self {
        Self { backends, open: Arc::default() }
    }

    /// Makes the key of an epoch, without storing it. One call to the active backend.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Backend`].
    pub async fn generate(&self, epoch: i32) -> Result<NewIndexKey, KeyringError> {
        let identity = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let id = IndexKeyId { epoch, identity };
        let GeneratedKey { wrapped, material } = self.backends.active().generate(&id.context()).await?;
        self.keep(id, Arc::new(IndexKey::new(material)));
        Ok(NewIndexKey { id, wrapped })
    }

    /// Opens a stored key; one call to its backend if it is not open yet.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Backend`], [`KeyringError::NoBackend`].
    pub async fn open(&self, stored: &StoredIndexKey) -> Result<Arc<IndexKey>, KeyringError> {
        if let Some(key) = self.opened().get(&stored.id) {
            return Ok(key.clone());
        }
        let kek_id = &stored.wrapped.kek_id;
        let owner = self.backends.owner(kek_id);
        let owner = owner.ok_or_else(|| KeyringError::NoBackend { kek_id: kek_id.clone() })?;
        let key = Arc::new(IndexKey::new(owner.unwrap(&stored.wrapped, &stored.id.context()).await?));
        self.keep(stored.id, key.clone());
        Ok(key)
    }

    /// Wipes all but these, as far as nobody has them in hand.
    pub fn keep_only(&self, ids: impl Fn(IndexKeyId) -> bool) {
        self.opened().retain(|id, _| ids(*id));
    }

    fn keep(&self, id: IndexKeyId, key: Arc<IndexKey>) {
        self.opened().insert(id, key);
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, HashMap<IndexKeyId, Arc<IndexKey>>> {
        // Nothing panics while it is locked.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
