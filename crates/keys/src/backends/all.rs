use std::{cmp::Reverse, sync::Arc};

use super::{KeyBackend, Ownership, guarded::GuardedBackend};
use crate::{KekId, SharedObserver, config::KeysConfig};

/// All configured key backends: the active one wraps new data keys, each unwraps what it owns.
///
/// This is how one moves from local keys to AWS, or between accounts, without downtime: add a backend,
/// make it active, rewrap, remove the old one.
#[derive(Clone, Debug)]
pub struct Backends {
    /// The active one first.
    all: Vec<Arc<dyn KeyBackend>>,
}

impl Backends {
    /// The active backend, and those that only unwrap. From here on, every call to one of them waits for its turn, has a
    /// deadline, and is counted.
    #[must_use]
    pub fn new(
        active: Arc<dyn KeyBackend>,
        others: Vec<Arc<dyn KeyBackend>>,
        config: &KeysConfig,
        observer: impl Into<SharedObserver>,
    ) -> Self {
        let observer = observer.into();
        let guard = |backend| Arc::new(GuardedBackend::new(backend, config, observer.clone())) as _;
        Self { all: std::iter::once(active).chain(others).map(guard).collect() }
    }

    /// The backend that wraps new data keys.
    #[must_use]
    pub fn active(&self) -> &dyn KeyBackend {
        &*self.all[0]
    }

    /// All of them, the active one first.
    pub fn iter(&self) -> impl Iterator<Item = &dyn KeyBackend> {
        self.all.iter().map(|backend| &**backend)
    }

    /// The backend of this name, if one is configured.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&dyn KeyBackend> {
        self.iter().find(|backend| backend.name() == name)
    }

    /// The backend that makes MACs, if one is configured.
    #[must_use]
    pub fn mac(&self) -> Option<&dyn KeyBackend> {
        self.iter().find(|backend| backend.mac_key().is_some())
    }

    /// The backend that can unwrap what `kek_id` wrapped, if one is configured: the surest, and among equals
    /// the active one.
    #[must_use]
    pub fn owner(&self, kek_id: &KekId) -> Option<&dyn KeyBackend> {
        owner(self.iter(), kek_id)
    }
}

/// The surest owner of a wrapping key, and among equals the first.
pub fn owner<'a>(
    backends: impl Iterator<Item = &'a dyn KeyBackend>,
    kek_id: &KekId,
) -> Option<&'a dyn KeyBackend> {
    // Asked once: a backend may have to look at a file.
    let owners = backends.map(|backend| (backend.owns(kek_id), backend));
    let owners = owners.filter(|(ownership, _)| *ownership > Ownership::No);
    owners.min_by_key(|(ownership, _)| Reverse(*ownership)).map(|(_, backend)| backend)
}
