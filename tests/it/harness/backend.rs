use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use oubliette::{
    envelope::KeyMaterial,
    keys::{
        BackendError, ErrorClass, GeneratedKey, KekId, KeyBackend, KeyContext, WrappedKey,
        local::{KeyFile, LocalBackend},
    },
};
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// A real local backend that counts its calls, can be told to fail, and can be held up.
#[derive(Debug)]
pub(crate) struct TestBackend {
    local: LocalBackend,
    generated: AtomicUsize,
    unwrapped: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    failure: Mutex<Option<ErrorClass>>,
    /// Unwraps pass one by one while this has permits; unlimited unless held up.
    gate: Semaphore,
    delay: Mutex<Duration>,
}

impl TestBackend {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let file = KeyFile::create(&folder.path().join("keys.toml")).unwrap();
        Self {
            local: LocalBackend::new("test", &file),
            generated: AtomicUsize::new(0),
            unwrapped: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            failure: Mutex::new(None),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            delay: Mutex::new(Duration::ZERO),
        }
    }

    pub(crate) fn generated(&self) -> usize {
        self.generated.load(SeqCst)
    }

    pub(crate) fn unwrapped(&self) -> usize {
        self.unwrapped.load(SeqCst)
    }

    pub(crate) fn most_in_flight(&self) -> usize {
        self.most_in_flight.load(SeqCst)
    }

    /// From now on every call fails; `None` ends it.
    pub(crate) fn fail(&self, class: impl Into<Option<ErrorClass>>) {
        *self.failure.lock().unwrap() = class.into();
    }

    /// From now on every unwrap takes this long.
    pub(crate) fn delay(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    /// From now on unwraps begin, and do not end until `release`.
    pub(crate) fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn release(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    fn failure(&self) -> Result<(), BackendError> {
        match *self.failure.lock().unwrap() {
            Some(class) => Err(BackendError { backend: "test".to_owned(), class, source: None }),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl KeyBackend for TestBackend {
    fn name(&self) -> &str {
        self.local.name()
    }

    fn owns(&self, kek_id: &KekId) -> bool {
        self.local.owns(kek_id)
    }

    async fn generate(&self, context: &KeyContext) -> Result<GeneratedKey, BackendError> {
        self.generated.fetch_add(1, SeqCst);
        self.failure()?;
        self.local.generate(context).await
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<KeyMaterial, BackendError> {
        self.unwrapped.fetch_add(1, SeqCst);
        let in_flight = self.in_flight.fetch_add(1, SeqCst) + 1;
        self.most_in_flight.fetch_max(in_flight, SeqCst);
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        drop(self.gate.acquire().await.unwrap());
        self.in_flight.fetch_sub(1, SeqCst);
        self.failure()?;
        self.local.unwrap(wrapped, context).await
    }

    async fn rewrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<WrappedKey, BackendError> {
        self.failure()?;
        self.local.rewrap(wrapped, context).await
    }

    async fn check(&self) -> Result<(), BackendError> {
        self.failure()?;
        self.local.check().await
    }
}
