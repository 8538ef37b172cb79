use async_trait::async_trait;

use super::{BackendError, ErrorClass, KeyBackend, Ownership};
use crate::{KekId, KeyContext, WrappedKey, envelope::KeyMaterial};

/// Stands for a backend that cannot be opened, where what does not need it is to go on: forgetting.
#[derive(Debug)]
pub(super) struct UnopenedBackend {
    name: String,
}

impl UnopenedBackend {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    fn refuse<T>(&self) -> Result<T, BackendError> {
        Err(BackendError::new(&self.name, ErrorClass::KeyNotFound, "it cannot be opened"))
    }
}

#[async_trait]
impl KeyBackend for UnopenedBackend {
    fn name(&self) -> &str {
        &self.name
    }

    fn owns(&self, _: &KekId) -> Ownership {
        Ownership::No
    }

    async fn current(&self, _: &KeyContext) -> Result<KekId, BackendError> {
        self.refuse()
    }

    async fn wrap(&self, _: &KeyMaterial, _: &KeyContext, _: &KekId) -> Result<WrappedKey, BackendError> {
        self.refuse()
    }

    async fn unwrap(&self, _: &WrappedKey, _: &KeyContext) -> Result<KeyMaterial, BackendError> {
        self.refuse()
    }
}
