use std::{sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use moka::{Expiry, future::Cache, notification::RemovalCause};

use super::{CacheEvent, EvictionCause, Fence, OpenDataKey, SharedObserver, Ticket, slot::Slot};
use crate::{
    config::CacheConfig,
    envelope::{DataKeyId, SubjectId},
};

/// Open data keys, for a while: bounded in number, in age and in idle time.
///
/// Concurrent misses for one key make one load. Failures are not cached. A key that leaves the cache is
/// wiped at once, unless a request still uses it; then, when that request ends.
#[derive(Clone, Debug)]
pub(super) struct KeyCache {
    slots: Cache<DataKeyId, Arc<Slot>, RandomState>,
    fence: Arc<Fence>,
    config: CacheConfig,
    observer: SharedObserver,
}

/// A key that was in the cache.
#[derive(Debug)]
pub(super) struct Cached {
    /// The key.
    pub(super) key: Arc<OpenDataKey>,
    /// Whether it is near its end, and its reader is to load it again.
    pub(super) refresh: bool,
}

impl KeyCache {
    /// An empty cache.
    pub(super) fn new(config: &CacheConfig, observer: SharedObserver) -> Self {
        let listener = {
            let observer = observer.clone();
            move |_: Arc<DataKeyId>, slot: Arc<Slot>, cause: RemovalCause| {
                // moka itself may hold on to the slot for a while.
                slot.empty();
                observer.cached(CacheEvent::Evicted(cause.into()), 1);
            }
        };
        let slots = Cache::builder()
            .name("data keys")
            .max_capacity(config.max_entries)
            .time_to_idle(config.time_to_idle)
            .expire_after(Lifetime)
            .eviction_listener(listener)
            // Ids are random, and nobody outside chooses them: there is no flood of equal hashes to fear.
            .build_with_hasher(RandomState::default());
        Self { slots, fence: Arc::default(), config: config.clone(), observer }
    }

    /// The key, if it is here.
    pub(super) async fn get(&self, id: DataKeyId) -> Option<Cached> {
        let slot = self.slots.get(&id).await?;
        Some(Cached { key: slot.key()?, refresh: slot.claim_refresh() })
    }

    /// Begins a load: take the ticket before the wrapped key is read. See [`Fence`].
    pub(super) fn ticket(&self, subject: SubjectId) -> Ticket {
        self.fence.ticket(subject)
    }

    /// Whether the ticket's subject was not forgotten since. See [`Fence`].
    pub(super) fn stands(&self, ticket: Ticket) -> bool {
        self.fence.stands(ticket)
    }

    /// The key, from here or from `load`, which runs once however many ask at the same time.
    ///
    /// Run this to its end (in a task of its own): dropped half-way, it could leave a key behind that was
    /// forgotten meanwhile, until the key idles out.
    ///
    /// # Errors
    ///
    /// The error of `load`, shared by all who waited for it. It is not cached.
    pub(super) async fn get_or_load<E, L>(
        &self,
        ticket: Ticket,
        id: DataKeyId,
        load: impl Fn() -> L,
    ) -> Result<Arc<OpenDataKey>, Arc<E>>
    where
        E: Send + Sync + 'static,
        L: Future<Output = Result<OpenDataKey, E>>,
    {
        loop {
            let mut loaded = None;
            let init = async {
                let key = Arc::new(load().await?);
                loaded = Some(key.clone());
                self.observer.cached(CacheEvent::Inserted, 1);
                Ok(self.slot(key))
            };
            let slot = self.slots.try_get_with(id, init).await?;
            self.drop_unless_standing(ticket, id).await;
            if let Some(key) = loaded {
                return Ok(key);
            }
            self.observer.cached(CacheEvent::Coalesced, 1);
            // Empty if it was evicted while we waited: then it is our turn to load.
            if let Some(key) = slot.key() {
                return Ok(key);
            }
        }
    }

    /// Puts a key here that somebody holds anyway.
    pub(super) async fn insert(&self, ticket: Ticket, key: Arc<OpenDataKey>) {
        let id = key.id();
        self.observer.cached(CacheEvent::Inserted, 1);
        self.slots.insert(id, self.slot(key)).await;
        self.drop_unless_standing(ticket, id).await;
    }

    /// Whether so many more keys find room without pushing others out. About: what happens at the same time is counted a little later.
    pub(super) fn has_room(&self, keys: usize) -> bool {
        self.slots.entry_count() + keys as u64 <= self.config.max_entries
    }

    /// Takes a subject's keys out, and keeps those out that are being loaded.
    pub(super) async fn evict(&self, subject: SubjectId, ids: impl IntoIterator<Item = DataKeyId>) {
        self.fence.advance(subject);
        for id in ids {
            self.slots.invalidate(&id).await;
        }
    }

    /// Takes all keys out, and keeps those out that are being loaded.
    pub(super) async fn evict_all(&self) {
        self.fence.advance_all();
        // One by one, so that they are wiped now: `invalidate_all` leaves that for later.
        let ids: Vec<_> = self.slots.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.slots.invalidate(&*id).await;
        }
    }

    /// Drops what has expired. Without this, an idle server would hold expired keys until its next request.
    pub(super) async fn drop_expired(&self) {
        self.slots.run_pending_tasks().await;
    }

    async fn drop_unless_standing(&self, ticket: Ticket, id: DataKeyId) {
        if !self.stands(ticket) {
            self.slots.invalidate(&id).await;
        }
    }

    fn slot(&self, key: Arc<OpenDataKey>) -> Arc<Slot> {
        Arc::new(Slot::new(key, &self.config))
    }
}

/// Each slot has its own time to live.
struct Lifetime;

impl Expiry<DataKeyId, Arc<Slot>> for Lifetime {
    fn expire_after_create(
        &self,
        _: &DataKeyId,
        slot: &Arc<Slot>,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(slot.lifetime())
    }

    fn expire_after_update(
        &self,
        _: &DataKeyId,
        slot: &Arc<Slot>,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(slot.lifetime())
    }
}

impl From<RemovalCause> for EvictionCause {
    fn from(cause: RemovalCause) -> Self {
        match cause {
            RemovalCause::Expired => Self::Expired,
            RemovalCause::Explicit => Self::Forgotten,
            RemovalCause::Replaced => Self::Refreshed,
            RemovalCause::Size => Self::Size,
        }
    }
}
