use std::sync::Arc;

use super::{KekId, KeyBackend};

/// All configured key backends: the active one wraps new data keys, each unwraps what it owns.
///
/// This is how one moves from local keys to AWS, or between accounts, without downtime: add a backend,
/// make it active, rewrap, remove the old one.
#[derive(Clone, Debug)]
pub struct Backends {
    active: Arc<dyn KeyBackend>,
    others: Vec<Arc<dyn KeyBackend>>,
}

impl Backends {
    /// The active backend, and those that only unwrap.
    #[must_use]
    pub fn new(active: Arc<dyn KeyBackend>, others: Vec<Arc<dyn KeyBackend>>) -> Self {
        Self { active, others }
    }

    /// The backend that wraps new data keys.
    #[must_use]
    pub fn active(&self) -> &dyn KeyBackend {
        &*self.active
    }

    /// The backend that can unwrap what `kek_id` wrapped, if one is configured.
    #[must_use]
    pub fn owner(&self, kek_id: &KekId) -> Option<&dyn KeyBackend> {
        std::iter::once(&self.active).chain(&self.others).map(|backend| &**backend).find(|b| b.owns(kek_id))
    }
}
