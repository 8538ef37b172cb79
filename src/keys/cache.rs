use std::{future::Future, sync::Arc};

use moka::future::Cache;

use super::{Fence, Ticket};
use crate::{
    config::CacheConfig,
    envelope::{DataKey, DataKeyId, SubjectId},
};

/// Open data keys, for a while: bounded in number, in age and in idle time.
///
/// Concurrent misses for one key make one load. Failures are not cached. A key is wiped when its last
/// holder drops it: the cache, or a request that still uses it.
#[derive(Clone, Debug)]
pub struct KeyCache {
    keys: Cache<DataKeyId, Arc<DataKey>>,
    fence: Arc<Fence>,
}

impl KeyCache {
    /// An empty cache.
    #[must_use]
    pub fn new(config: &CacheConfig) -> Self {
        let keys = Cache::builder()
            .name("data keys")
            .max_capacity(config.max_entries)
            .time_to_live(config.time_to_live)
            .time_to_idle(config.time_to_idle)
            .build();
        Self { keys, fence: Arc::default() }
    }

    /// The key, if it is here.
    pub async fn get(&self, id: DataKeyId) -> Option<Arc<DataKey>> {
        self.keys.get(&id).await
    }

    /// Begins a load: take the ticket before the wrapped key is read. See [`Fence`].
    #[must_use]
    pub fn ticket(&self, subject: SubjectId) -> Ticket {
        self.fence.ticket(subject)
    }

    /// The key, from here or from `load`, which runs once however many ask at the same time.
    ///
    /// Run this to its end (in a task of its own): dropped half-way, it could leave a key behind that was
    /// forgotten meanwhile, until the key idles out.
    ///
    /// # Errors
    ///
    /// The error of `load`, shared by all who waited for it. It is not cached.
    pub async fn get_or_load<E: Send + Sync + 'static>(
        &self,
        ticket: Ticket,
        id: DataKeyId,
        load: impl Future<Output = Result<DataKey, E>>,
    ) -> Result<Arc<DataKey>, Arc<E>> {
        let key = self.keys.try_get_with(id, async { load.await.map(Arc::new) }).await?;
        self.drop_unless_standing(ticket, id).await;
        Ok(key)
    }

    /// Puts a key here that somebody holds anyway.
    pub async fn insert(&self, ticket: Ticket, key: Arc<DataKey>) {
        let id = key.id();
        self.keys.insert(id, key).await;
        self.drop_unless_standing(ticket, id).await;
    }

    /// Takes a subject's keys out, and keeps those out that are being loaded.
    pub async fn evict(&self, subject: SubjectId, ids: impl IntoIterator<Item = DataKeyId>) {
        self.fence.advance(subject);
        for id in ids {
            self.keys.invalidate(&id).await;
        }
    }

    /// Drops what has expired. Without this, an idle server would hold expired keys until its next request.
    pub async fn drop_expired(&self) {
        self.keys.run_pending_tasks().await;
    }

    async fn drop_unless_standing(&self, ticket: Ticket, id: DataKeyId) {
        if !self.fence.stands(ticket) {
            self.keys.invalidate(&id).await;
        }
    }
}
