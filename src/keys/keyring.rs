use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use sea_orm::{DatabaseConnection, DbErr};
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::{BackendError, Backends, GeneratedKey, KekId, KeyCache, Ticket, WrappedKey, store};
use crate::{
    config::KeysConfig,
    envelope::{DataKey, DataKeyId, KeyVersion, SubjectId},
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
    backends: Backends,
    cache: KeyCache,
    /// Bounds the backend calls that run at the same time.
    calls: Semaphore,
    concurrency: usize,
}

/// A data key, open; or why it is not, shared by all who waited for it.
pub type OpenedKey = Result<Arc<DataKey>, Arc<KeyringError>>;

/// A data key that is not stored yet.
#[derive(Debug)]
pub struct NewDataKey {
    /// The open key.
    pub key: Arc<DataKey>,
    /// The key as [`store::insert`] takes it.
    pub wrapped: WrappedKey,
    ticket: Ticket,
}

impl Keyring {
    /// A keyring over the data keys of `db`, with an empty cache.
    #[must_use]
    pub fn new(db: DatabaseConnection, backends: Backends, config: &KeysConfig) -> Self {
        let concurrency = config.max_concurrent_calls.get();
        Self(Arc::new(Inner {
            db,
            backends,
            cache: KeyCache::new(&config.cache),
            calls: Semaphore::new(concurrency),
            concurrency,
        }))
    }

    /// Makes a subject's first data key, without storing it. One backend call.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Backend`].
    pub async fn generate(&self, subject: SubjectId) -> Result<NewDataKey, KeyringError> {
        let id = DataKeyId { subject, version: KeyVersion::FIRST };
        let ticket = self.0.cache.ticket(subject);
        let _permit = self.0.calls.acquire().await.map_err(|_| KeyringError::Interrupted)?;
        let GeneratedKey { material, wrapped } = self.0.backends.active().generate(&id.into()).await?;
        Ok(NewDataKey { key: Arc::new(DataKey::new(id, &material)), wrapped, ticket })
    }

    /// Caches a generated key. Call after the transaction that stored it was committed.
    pub async fn remember(&self, new: NewDataKey) {
        self.0.cache.insert(new.ticket, new.key).await;
    }

    /// The key, if it is open already. No I/O.
    pub async fn cached(&self, id: DataKeyId) -> Option<Arc<DataKey>> {
        self.0.cache.get(id).await
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

    /// Opens many data keys: one SQL statement for the wrapped keys that are not cached, then concurrent
    /// unwraps under the configured limit. Every id has its own result, in the order of `ids`.
    pub async fn open_many(&self, ids: &[DataKeyId]) -> Vec<OpenedKey> {
        let mut opened = Vec::with_capacity(ids.len());
        let mut missing = Vec::new();
        for &id in ids {
            let cached = self.cached(id).await;
            if cached.is_none() {
                missing.push((opened.len(), id));
            }
            opened.push(cached.ok_or_else(|| Arc::new(KeyringError::Missing(id))));
        }
        if missing.is_empty() {
            return opened;
        }
        // In a task of its own: a client that goes away must not stop a load half-way (see KeyCache), and
        // what was unwrapped at a cost is worth keeping.
        let load = self.clone().load(missing.clone()).in_current_span();
        if let Ok(loaded) = tokio::spawn(load).await {
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

    /// Takes a forgotten subject's keys out of the cache, and keeps those out that are being unwrapped.
    /// Call after the transaction that destroyed them was committed.
    pub async fn evict(&self, subject: SubjectId, ids: impl IntoIterator<Item = DataKeyId>) {
        self.0.cache.evict(subject, ids).await;
    }

    /// Whether the active backend can be used.
    ///
    /// # Errors
    ///
    /// The backend's own error.
    pub async fn check(&self) -> Result<(), BackendError> {
        self.0.backends.active().check().await
    }

    /// Drops expired keys from memory, for as long as the future is polled.
    pub async fn keep_house(self) {
        let mut ticks = tokio::time::interval(HOUSEKEEPING_INTERVAL);
        loop {
            ticks.tick().await;
            self.0.cache.drop_expired().await;
        }
    }

    /// Loads keys that are not cached. Positions are carried along.
    async fn load(self, missing: Vec<(usize, DataKeyId)>) -> Vec<(usize, OpenedKey)> {
        let ids: Vec<_> = missing.iter().map(|&(_, id)| id).collect();
        let tickets: Vec<_> = ids.iter().map(|id| self.0.cache.ticket(id.subject)).collect();
        let wrapped = match store::find(&self.0.db, &ids).await {
            Ok(wrapped) => wrapped,
            Err(error) => {
                let error = Arc::new(KeyringError::Database(error));
                return missing.into_iter().map(|(position, _)| (position, Err(error.clone()))).collect();
            }
        };
        let (this, wrapped) = (&self, &wrapped);
        stream::iter(missing.into_iter().zip(tickets))
            .map(|((position, id), ticket)| async move {
                let load = this.unwrap(id, wrapped.get(&id));
                (position, this.0.cache.get_or_load(ticket, id, load).await)
            })
            .buffer_unordered(self.0.concurrency)
            .collect()
            .await
    }

    async fn unwrap(&self, id: DataKeyId, wrapped: Option<&WrappedKey>) -> Result<DataKey, KeyringError> {
        let wrapped = wrapped.ok_or(KeyringError::Missing(id))?;
        let backend = self
            .0
            .backends
            .owner(&wrapped.kek_id)
            .ok_or_else(|| KeyringError::NoBackend { kek_id: wrapped.kek_id.clone() })?;
        let _permit = self.0.calls.acquire().await.map_err(|_| KeyringError::Interrupted)?;
        let material = backend.unwrap(wrapped, &id.into()).await?;
        Ok(DataKey::new(id, &material))
    }
}

/// Why a data key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// There is no such data key. If its subject was forgotten, that is as it should be.
    #[error("there is no data key {0}")]
    Missing(DataKeyId),
    /// The subject has no data key at all, so nothing can be sealed for them.
    #[error("subject {0} has no data key")]
    NoDataKey(SubjectId),
    /// No configured backend owns the wrapping key. An operator must add it to the configuration.
    #[error("no configured key backend owns the wrapping key `{kek_id}`: add it under [keys.backends]")]
    NoBackend {
        /// The wrapping key.
        kek_id: KekId,
    },
    /// The backend failed; its class says what that means.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The database failed.
    #[error("the data keys could not be read")]
    Database(#[from] DbErr),
    /// The server is shutting down, or a bug stopped the load.
    #[error("the load of a data key was interrupted")]
    Interrupted,
}
