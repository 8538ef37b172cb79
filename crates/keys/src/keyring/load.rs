//! Data keys on their way from the table into the cache.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures::{StreamExt, stream::FuturesUnordered};
use sea_orm::DbErr;

use super::{FoundKey, Keyring, KeyringError, OpenedKey};
use crate::{
    CacheEvent, KeyBackend, KeyContext, OpenDataKey, RefreshOutcome, Ticket, WrappedKey, causes,
    envelope::{DataKeyId, KeyMaterial},
    store::{self, StoredKey},
};

/// A data key that is to be loaded: for which place in the answer, and since when.
#[derive(Debug)]
struct Wanted {
    position: usize,
    id: DataKeyId,
    ticket: Ticket,
}

impl Keyring {
    /// Loads keys that are not cached. Positions are carried along. Whether those that are unwrapped in this process are kept, the caller
    /// says.
    pub(super) async fn load(
        self,
        missing: Vec<(usize, DataKeyId)>,
        found: Vec<FoundKey>,
        kept: bool,
    ) -> Vec<(usize, OpenedKey)> {
        let wanted = |&(position, id): &(usize, DataKeyId)| {
            let found = found.iter().find(|found| found.id == id);
            let ticket = found.map_or_else(|| self.0.cache.ticket(id.subject), |found| found.ticket);
            Wanted { position, id, ticket }
        };
        let wanted: Vec<_> = missing.iter().map(wanted).collect();
        let stored = match self.stored(missing.into_iter().map(|(_, id)| id), found).await {
            Ok(stored) => stored,
            Err(error) => {
                let error = Arc::new(KeyringError::Database(error));
                return wanted.into_iter().map(|wanted| (wanted.position, Err(error.clone()))).collect();
            }
        };
        // By the backend's name: those of one backend are unwrapped together.
        let (mut here, mut elsewhere) = (BTreeMap::new(), Vec::new());
        for wanted in wanted {
            let stored = stored.get(&wanted.id);
            let owned =
                stored.and_then(|stored| Some((stored, self.0.backends.owner(&stored.wrapped.kek_id)?)));
            match owned.filter(|(_, backend)| backend.unwraps_in_process()) {
                Some((stored, backend)) => {
                    let (_, together) = here.entry(backend.name()).or_insert((backend, Vec::new()));
                    together.push((wanted, stored));
                }
                None => elsewhere.push((wanted, stored)),
            }
        }
        let mut loaded = Vec::new();
        for (backend, together) in here.into_values() {
            loaded.extend(self.load_together(backend, together, kept).await);
        }
        let this = &self;
        let loads = elsewhere.into_iter().map(|(Wanted { position, id, ticket }, stored)| async move {
            (position, this.0.cache.get_or_load(ticket, id, || this.open_stored(id, stored)).await)
        });
        loaded.extend(loads.collect::<FuturesUnordered<_>>().collect::<Vec<_>>().await);
        loaded
    }

    /// Whether all of these were found, and are unwrapped in this process: without waiting for anything.
    pub(super) fn are_unwrapped_here(&self, missing: &[(usize, DataKeyId)], found: &[FoundKey]) -> bool {
        let in_process = |id: DataKeyId| {
            let found = found.iter().find(|found| found.id == id);
            let owner = found.and_then(|found| self.0.backends.owner(&found.stored.wrapped.kek_id));
            owner.is_some_and(KeyBackend::unwraps_in_process)
        };
        missing.iter().all(|(_, id)| in_process(*id))
    }

    /// Keys as the table has them, or had them just now. One alone is read together with those that others want.
    async fn stored(
        &self,
        ids: impl Iterator<Item = DataKeyId>,
        found: Vec<FoundKey>,
    ) -> Result<HashMap<DataKeyId, StoredKey>, DbErr> {
        let mut stored: HashMap<_, _> = found.into_iter().map(|found| (found.id, found.stored)).collect();
        let ids: Vec<_> = ids.filter(|id| !stored.contains_key(id)).collect();
        match ids[..] {
            [] => {}
            [id] => stored.extend(self.0.stored.find(id).await?.map(|stored| (id, stored))),
            _ => stored.extend(store::find(&self.0.db, &ids).await?),
        }
        Ok(stored)
    }

    /// Loads keys of a backend that unwraps in this process, in one pass. They push none out of a full cache: to open these again
    /// costs less than to put them there, and who goes through all users would only push out those who are asked for often.
    async fn load_together(
        &self,
        backend: &dyn KeyBackend,
        wanted: Vec<(Wanted, &StoredKey)>,
        kept: bool,
    ) -> Vec<(usize, OpenedKey)> {
        let contexts: Vec<_> = wanted.iter().map(|(wanted, _)| KeyContext::from(wanted.id)).collect();
        let keys: Vec<_> =
            wanted.iter().zip(&contexts).map(|((_, stored), context)| (&stored.wrapped, context)).collect();
        let unwrapped = backend.unwrap_many(&keys).await;
        let mut loaded = Vec::with_capacity(wanted.len());
        for ((Wanted { position, id, ticket }, stored), material) in wanted.into_iter().zip(unwrapped) {
            let key = match material {
                Ok(material) => {
                    let key = Arc::new(self.opened(id, stored, &material));
                    if kept {
                        self.0.cache.insert(ticket, key.clone()).await;
                    }
                    Ok(key)
                }
                Err(error) => Err(Arc::new(error.into())),
            };
            loaded.push((position, key));
        }
        loaded
    }

    /// Unwraps keys again that are in use and near their end, so that nobody has to wait for them. What
    /// cannot be unwrapped serves until it expires; what is gone from the database leaves at once.
    pub(super) async fn refresh(self, due: Vec<DataKeyId>) {
        let tickets: Vec<_> = due.iter().map(|id| self.0.cache.ticket(id.subject)).collect();
        let stored = match store::find(&self.0.db, &due).await {
            Ok(stored) => stored,
            Err(error) => {
                let keys = due.len();
                tracing::warn!(keys, "data keys are not refreshed: {}", causes::line(&error));
                return self.count_refreshes(RefreshOutcome::Failed, due.len());
            }
        };
        let (this, stored) = (&self, &stored);
        let refreshes = due.into_iter().zip(tickets).map(|(id, ticket)| async move {
            let outcome = match this.open_stored(id, stored.get(&id)).await {
                Ok(key) => {
                    this.0.cache.insert(ticket, Arc::new(key)).await;
                    RefreshOutcome::Ok
                }
                Err(KeyringError::Missing(_)) => {
                    this.0.cache.evict(id.subject, [id]).await;
                    RefreshOutcome::Gone
                }
                Err(error) => {
                    tracing::warn!("data key {id} is not refreshed: {}", causes::line(&error));
                    RefreshOutcome::Failed
                }
            };
            this.count_refreshes(outcome, 1);
        });
        refreshes.collect::<FuturesUnordered<_>>().collect::<()>().await;
    }

    fn count_refreshes(&self, outcome: RefreshOutcome, keys: usize) {
        self.0.observer.cached(CacheEvent::Refreshed(outcome), keys as u64);
    }

    async fn open_stored(
        &self,
        id: DataKeyId,
        stored: Option<&StoredKey>,
    ) -> Result<OpenDataKey, KeyringError> {
        let stored = stored.ok_or(KeyringError::Missing(id))?;
        Ok(self.opened(id, stored, &self.unwrap(id, &stored.wrapped).await?))
    }

    pub(super) async fn unwrap(
        &self,
        id: DataKeyId,
        wrapped: &WrappedKey,
    ) -> Result<KeyMaterial, KeyringError> {
        let owner = self.0.backends.owner(&wrapped.kek_id);
        let backend = owner.ok_or_else(|| KeyringError::NoBackend { kek_id: wrapped.kek_id.clone() })?;
        Ok(backend.unwrap(wrapped, &id.into()).await?)
    }
}
