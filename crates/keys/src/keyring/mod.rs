mod commit;
mod error;
mod found;
mod generate;
mod load;

#[cfg(feature = "local")]
use std::path::PathBuf;
use std::{sync::Arc, time::Duration};

use sea_orm::DatabaseConnection;
use tracing::Instrument;

use self::commit::Uncommitted;
pub use self::{
    error::KeyringError,
    found::{FoundKey, WithKeys},
    generate::NewDataKey,
};

use super::{
    Backends, CacheEvent, DataKeyIdentity, Inactive, KekState, NotStored, OpenDataKey, RecentMisses,
    SharedObserver,
    cache::{Cached, KeyCache},
    store::{self, StoredKey, Unconfirmed},
    wrapping_keys,
};
#[cfg(feature = "local")]
use crate::{BackendSettings, OpenBackendError, local::LocalBackendConfig, unobserved};
use crate::{
    config::KeysConfig,
    database::{Together, WriteTransaction},
    envelope::{DataKeyId, SubjectId},
    index_keys::IndexKeys,
};

/// Expired keys leave the memory at most this long after they expired.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);

/// The one place that turns a subject into an open data key: store, cache, backends.
///
/// Cheap to clone: all clones share one cache.
#[derive(Clone, Debug)]
pub struct Keyring(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: DatabaseConnection,
    stored: Together<DataKeyId, StoredKey>,
    backends: Backends,
    index_keys: IndexKeys,
    cache: KeyCache,
    misses: RecentMisses,
    uncommitted: Uncommitted,
    observer: SharedObserver,
}

/// A data key, open; or why it is not, shared by all who waited for it.
pub type OpenedKey = Result<Arc<OpenDataKey>, Arc<KeyringError>>;

impl Keyring {
    /// A keyring over the data keys of `db`, with an empty cache. The observer is told of the cache; the backends have their own.
    #[must_use]
    pub fn new(
        db: DatabaseConnection,
        backends: Backends,
        config: &KeysConfig,
        observer: impl Into<SharedObserver>,
    ) -> Self {
        let observer = observer.into();
        let cache = KeyCache::new(&config.cache, observer.clone());
        let stored = store::together(db.clone());
        let misses = RecentMisses::default();
        let index_keys = IndexKeys::new(backends.clone());
        let uncommitted = Uncommitted::default();
        Self(Arc::new(Inner { db, stored, backends, index_keys, cache, misses, uncommitted, observer }))
    }

    /// A keyring over one local key file, with default limits. The file is made if it is missing and no data key needs it. For
    /// development: anyone who has the file can open all data.
    ///
    /// # Errors
    ///
    /// [`OpenBackendError`] says what to do.
    #[cfg(feature = "local")]
    pub async fn over_key_file(
        db: DatabaseConnection,
        file: impl Into<PathBuf>,
    ) -> Result<Self, OpenBackendError> {
        let local = LocalBackendConfig { file: file.into(), create_if_missing: true };
        let (config, observer) = (KeysConfig::default(), unobserved());
        local.prepare(&db).await?;
        let backend = local.open("local", &observer).await?;
        let backends = Backends::new(backend, Vec::new(), &config, observer.clone());
        Ok(Self::new(db, backends, &config, observer))
    }

    /// Caches a generated key. Call after the transaction that stored it was committed.
    pub async fn remember(&self, new: NewDataKey) {
        self.0.cache.insert(new.ticket, new.key).await;
    }

    /// The key, if it is open already. No I/O.
    pub async fn cached(&self, id: DataKeyId) -> Option<Arc<OpenDataKey>> {
        self.0.cache.get(id).await.map(|cached| cached.key)
    }

    /// Opens one data key.
    ///
    /// # Errors
    ///
    /// [`KeyringError`]; [`KeyringError::Missing`] if the subject has no such key, or none any more.
    pub async fn open(&self, id: DataKeyId) -> OpenedKey {
        let opened = self.open_many(&[id]).await.pop();
        opened.unwrap_or_else(|| Err(Arc::new(KeyringError::Missing(id))))
    }

    /// Opens a subject's newest data key, to seal with it: see [`LockedSubject`](crate::subjects::LockedSubject).
    ///
    /// # Errors
    ///
    /// [`KeyringError::NoDataKey`] if there is none; else as for [`Keyring::open`].
    pub async fn open_newest(&self, subject: SubjectId) -> OpenedKey {
        let mut gone = None;
        loop {
            let newest = store::newest(&self.0.db, subject).await.map_err(|error| Arc::new(error.into()))?;
            // One that is gone and still the newest was not replaced by a rotation.
            let Some((version, identity)) = newest.filter(|newest| gone != Some(*newest)) else {
                return Err(Arc::new(KeyringError::NoDataKey(subject)));
            };
            match self.open_identical(DataKeyId { subject, version }, identity).await {
                Err(error) if matches!(*error, KeyringError::Missing(_)) => gone = newest,
                opened => return opened,
            }
        }
    }

    /// Opens the data key that has this identity in the table. One that is in the cache under the same id and is another one is
    /// dropped.
    ///
    /// # Errors
    ///
    /// As for [`Keyring::open`].
    pub async fn open_identical(&self, id: DataKeyId, identity: DataKeyIdentity) -> OpenedKey {
        let opened = self.open(id).await?;
        if opened.identity() == identity {
            return Ok(opened);
        }
        self.0.cache.evict(id.subject, [id]).await;
        self.open(id).await
    }

    /// Asks the table whether an open key is the one that it has, after something did not open with it. If it is another
    /// one, that one; `None` if it is the same.
    ///
    /// # Errors
    ///
    /// As for [`Keyring::open`].
    pub async fn open_instead_of(
        &self,
        stale: &OpenDataKey,
    ) -> Result<Option<Arc<OpenDataKey>>, Arc<KeyringError>> {
        let id = stale.id();
        let stored = store::find(&self.0.db, &[id]).await.map_err(|error| Arc::new(error.into()))?;
        if stored.get(&id).is_some_and(|stored| stored.identity == stale.identity()) {
            return Ok(None);
        }
        self.0.cache.evict(id.subject, [id]).await;
        self.open(id).await.map(Some)
    }

    /// Opens many data keys: one SQL statement for the wrapped keys that are not cached, then concurrent
    /// unwraps, as many as the backend's limit lets through. Every id has its own result, in the order of
    /// `ids`.
    pub async fn open_many(&self, ids: &[DataKeyId]) -> Vec<OpenedKey> {
        self.open_found(ids, Vec::new()).await
    }

    /// The same, where some wrapped keys were [found](WithKeys) already. They are read again if their subject may have been forgotten since.
    pub async fn open_found(&self, ids: &[DataKeyId], mut found: Vec<FoundKey>) -> Vec<OpenedKey> {
        found.retain(|found| self.0.cache.stands(found.ticket));
        let mut opened = Vec::with_capacity(ids.len());
        let mut missing = Vec::new();
        let mut due = Vec::new();
        for &id in ids {
            let key = if let Some(Cached { key, refresh }) = self.0.cache.get(id).await {
                due.extend(refresh.then_some(id));
                Ok(key)
            } else {
                missing.push((opened.len(), id));
                Err(Arc::new(KeyringError::Missing(id)))
            };
            opened.push(key);
        }
        if !due.is_empty() {
            tokio::spawn(self.clone().refresh(due).in_current_span());
        }
        if ids.len() == 1 {
            self.0.misses.count(missing.is_empty());
        }
        let observer = &self.0.observer;
        observer.cached(CacheEvent::Hit, (opened.len() - missing.len()) as u64);
        if missing.is_empty() {
            return opened;
        }
        observer.cached(CacheEvent::Miss, missing.len() as u64);
        // Once: what is kept must not be loaded here, however much room there is a moment later.
        let kept = self.0.cache.has_room(missing.len());
        let momentary = !kept && self.are_unwrapped_here(&missing, &found);
        let load = self.clone().load(missing.clone(), found, kept).in_current_span();
        // In a task of its own: a client that goes away must not stop a load half-way (see KeyCache), and
        // what was unwrapped at a cost is worth keeping.
        let loaded = if momentary { Ok(load.await) } else { tokio::spawn(load).await };
        if let Ok(loaded) = loaded {
            for (position, key) in loaded {
                opened[position] = key;
            }
        } else {
            let error = Arc::new(KeyringError::Interrupted);
            for (position, _) in missing {
                opened[position] = Err(error.clone());
            }
        }
        opened
    }

    /// Takes keys of a subject out of the cache that were destroyed or replaced, and keeps those out that are being unwrapped.
    /// Call after the transaction that did it was committed.
    pub async fn evict(&self, subject: SubjectId, ids: impl IntoIterator<Item = DataKeyId>) {
        self.0.cache.evict(subject, ids).await;
    }

    /// Takes all keys out of the cache, and keeps those out that are being unwrapped.
    pub async fn evict_all(&self) {
        self.0.cache.evict_all().await;
    }

    /// The database that the wrapped keys are in.
    #[must_use]
    pub fn db(&self) -> &DatabaseConnection {
        &self.0.db
    }

    /// All backends, the active one first.
    #[must_use]
    pub fn backends(&self) -> &Backends {
        &self.0.backends
    }

    /// The open index keys.
    #[must_use]
    pub fn index_keys(&self) -> &IndexKeys {
        &self.0.index_keys
    }

    /// Whether new data keys can be wrapped: whether the active backend can be used, and its wrapping key is not being
    /// retired.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Backend`], [`KeyringError::Inactive`]. That the database does not tell is no fault of the keys.
    pub async fn check(&self) -> Result<(), KeyringError> {
        let kek_id = self.0.backends.active().check().await?;
        match wrapping_keys::state(&self.0.db, &kek_id).await {
            Ok(Some(state @ (KekState::Retiring | KekState::Retired))) => {
                Err(Inactive { kek_id, state }.into())
            }
            Ok(None | Some(KekState::Active)) | Err(_) => Ok(()),
        }
    }

    /// Asks the active backend to look what its current wrapping key is: it may have missed a change.
    pub async fn look(&self) {
        self.0.backends.active().look().await;
    }

    /// Ends a transaction that stores a new data key, wrapped by the active backend.
    ///
    /// # Errors
    ///
    /// [`NotStored`]; then the transaction must not be committed.
    pub async fn confirm(
        &self,
        transaction: &WriteTransaction,
        unconfirmed: Unconfirmed,
    ) -> Result<(), NotStored> {
        unconfirmed.confirm(transaction, self.0.backends.active().name()).await
    }

    /// Drops expired keys from memory, and has backends follow their key files, for as long as the future is polled.
    pub async fn maintain(self) {
        let mut ticks = tokio::time::interval(HOUSEKEEPING_INTERVAL);
        loop {
            ticks.tick().await;
            self.0.cache.drop_expired().await;
            for backend in self.0.backends.iter() {
                backend.look().await;
            }
        }
    }
}
