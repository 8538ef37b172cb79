use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use oubliette::{
    KeyMetrics,
    envelope::KeyMaterial,
    keys::{
        BackendError, ErrorClass, GeneratedKey, KekId, KeyBackend, KeyContext, Ownership, Realm, WrappedKey,
        aws_kms::AwsKmsBackend,
        local::{KeyFile, KeyFileEditor, LocalBackend, kek_id},
    },
};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::{localstack, logs::remember_keys};

/// A real backend that counts its calls, can be told to fail, and can be held up.
#[derive(Debug)]
pub(crate) struct TestBackend {
    real: Arc<dyn KeyBackend>,
    keks: Vec<KekId>,
    _folder: Option<TempDir>,
    generated: AtomicUsize,
    unwrapped: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    failure: Mutex<Option<ErrorClass>>,
    /// Unwraps pass one by one while this has permits; unlimited unless held up.
    gate: Semaphore,
    /// The same for new data keys, once they are made.
    made: Semaphore,
    delay: Mutex<Duration>,
}

impl TestBackend {
    /// On a key file of its own, with two wrapping keys.
    pub(crate) fn local() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("keys.toml");
        drop(KeyFile::create(&path).unwrap());
        let mut file = KeyFileEditor::open(&path).unwrap();
        let keks = vec![kek_id(file.primary()), kek_id(&file.add(None).unwrap())];
        file.save().unwrap();
        let real = LocalBackend::new("test", &KeyFile::read(&path).unwrap());
        Self { keks, _folder: Some(folder), ..Self::over(Arc::new(real)) }
    }

    /// On two wrapping keys of its own in LocalStack.
    pub(crate) async fn localstack() -> Self {
        let keks = [localstack().create_key().await, localstack().create_key().await];
        let config = localstack().backend_config(&keks[0]);
        let real = AwsKmsBackend::new("test", &config, KeyMetrics::default()).await.unwrap();
        Self { keks: keks.map(KekId::new).to_vec(), ..Self::over(Arc::new(real)) }
    }

    /// Over any backend.
    pub(crate) fn over(real: Arc<dyn KeyBackend>) -> Self {
        Self {
            real,
            keks: Vec::new(),
            _folder: None,
            generated: AtomicUsize::new(0),
            unwrapped: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            failure: Mutex::new(None),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            made: Semaphore::new(Semaphore::MAX_PERMITS),
            delay: Mutex::new(Duration::ZERO),
        }
    }

    /// Its wrapping keys; it generates under the first.
    pub(crate) fn keks(&self) -> &[KekId] {
        &self.keks
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

    /// What was done so far does not count.
    pub(crate) fn count_anew(&self) {
        for count in [&self.generated, &self.unwrapped, &self.most_in_flight] {
            count.store(0, SeqCst);
        }
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

    /// From now on new data keys are made, and not handed out until `release_made`.
    pub(crate) fn hold_made(&self) {
        self.made.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn release_made(&self) {
        self.made.add_permits(Semaphore::MAX_PERMITS);
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
        self.real.name()
    }

    fn owns(&self, kek_id: &KekId) -> Ownership {
        self.real.owns(kek_id)
    }

    fn realm(&self) -> Realm {
        self.real.realm()
    }

    async fn current(&self, context: &KeyContext) -> Result<KekId, BackendError> {
        self.failure()?;
        self.real.current(context).await
    }

    async fn generate(&self, context: &KeyContext) -> Result<GeneratedKey, BackendError> {
        self.failure()?;
        let generated = self.real.generate(context).await?;
        remember_key(&generated.material);
        self.generated.fetch_add(1, SeqCst);
        drop(self.made.acquire().await.unwrap());
        Ok(generated)
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
        let material = self.real.unwrap(wrapped, context).await?;
        remember_key(&material);
        Ok(material)
    }

    async fn wrap(
        &self,
        material: &KeyMaterial,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        self.failure()?;
        self.real.wrap(material, context, to).await
    }

    async fn rewrap(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        self.failure()?;
        self.real.rewrap(wrapped, context, to).await
    }

    async fn check(&self) -> Result<KekId, BackendError> {
        self.failure()?;
        self.real.check().await
    }

    async fn look(&self) {
        self.real.look().await;
    }
}

fn remember_key(material: &KeyMaterial) {
    let key = material.expose();
    remember_keys(&[&hex::encode(key), &BASE64_STANDARD.encode(key)]);
}
