//! A guarded backend takes a turn for each call, and for each batch where the service takes batches.

use std::{
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    super::{fake::FakeBackend, *},
    context, fake, nobody,
};
use crate::{
    KekId, KeyContext, Realm, WrappedKey,
    config::KeysConfig,
    envelope::{KeyMaterial, MAC_LENGTH},
};

fn config(at_once: usize) -> KeysConfig {
    KeysConfig {
        max_concurrent_calls: at_once.try_into().unwrap(),
        call_timeout: Duration::from_millis(300),
        ..KeysConfig::default()
    }
}

fn guarded(backend: Arc<dyn KeyBackend>, at_once: usize) -> Backends {
    Backends::new(backend, Vec::new(), &config(at_once), nobody())
}

/// Does each thing in its own way, as a service that is better at it would.
#[derive(Debug)]
struct Batches {
    real: FakeBackend,
    flaw: Option<Flaw>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    Hangs,
    LosesOne,
}

#[async_trait]
impl KeyBackend for Batches {
    fn name(&self) -> &str {
        self.real.name()
    }

    fn owns(&self, kek_id: &KekId) -> Ownership {
        self.real.owns(kek_id)
    }

    async fn current(&self, context: &KeyContext) -> Result<KekId, BackendError> {
        self.real.current(context).await
    }

    async fn wrap(
        &self,
        material: &KeyMaterial,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        self.real.wrap(material, context, to).await
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<KeyMaterial, BackendError> {
        self.real.unwrap(wrapped, context).await
    }

    async fn all_current(&self) -> Result<Vec<KekId>, BackendError> {
        self.real.all_current().await
    }

    async fn generate(&self, _: &KeyContext) -> Result<GeneratedKey, BackendError> {
        Err(marked("generate"))
    }

    async fn rewrap(&self, _: &WrappedKey, _: &KeyContext, _: &KekId) -> Result<WrappedKey, BackendError> {
        Err(marked("rewrap"))
    }

    async fn check(&self) -> Result<KekId, BackendError> {
        Err(marked("check"))
    }

    fn realm(&self) -> Realm {
        Realm::of("batches", [])
    }

    async fn look(&self) {
        self.real.calls.fetch_add(1000, SeqCst);
    }

    fn batch_size(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(4)
    }

    fn mac_key(&self) -> Option<&str> {
        Some("batches")
    }

    async fn mac(&self, _: &[u8]) -> Result<[u8; MAC_LENGTH], BackendError> {
        Err(marked("mac"))
    }

    async fn generate_many(&self, contexts: &[KeyContext]) -> Vec<Result<GeneratedKey, BackendError>> {
        contexts.iter().map(|_| Err(marked("generate_many"))).collect()
    }

    async fn unwrap_many(
        &self,
        keys: &[(&WrappedKey, &KeyContext)],
    ) -> Vec<Result<KeyMaterial, BackendError>> {
        assert!(keys.len() <= 4);
        self.real.called().await;
        if self.flaw == Some(Flaw::Hangs) {
            std::future::pending::<()>().await;
        }
        let lost = usize::from(self.flaw == Some(Flaw::LosesOne));
        keys.iter().skip(lost).map(|(wrapped, context)| self.real.open(wrapped, context)).collect()
    }

    async fn rewrap_many(
        &self,
        keys: &[(&WrappedKey, &KeyContext)],
        _: &KekId,
    ) -> Vec<Result<WrappedKey, BackendError>> {
        keys.iter().map(|_| Err(marked("rewrap_many"))).collect()
    }
}

fn marked(method: &str) -> BackendError {
    BackendError { backend: method.to_owned(), class: ErrorClass::Denied, source: None }
}

#[tokio::test]
async fn single_calls_take_a_turn_each() {
    let real = Arc::new(fake("one", 1));
    let backends = guarded(real.clone(), 3);
    let contexts: Vec<_> = (0..20).map(|_| context()).collect();
    let made: Vec<_> =
        backends.active().generate_many(&contexts).await.into_iter().map(Result::unwrap).collect();
    let keys: Vec<_> = made.iter().zip(&contexts).map(|(key, context)| (&key.wrapped, context)).collect();
    let opened = backends.active().unwrap_many(&keys).await;
    assert!(
        opened
            .into_iter()
            .zip(&made)
            .all(|(opened, made)| opened.unwrap().expose() == made.material.expose())
    );
    assert_eq!((real.calls.load(SeqCst), real.most_in_flight.load(SeqCst)), (40, 3));
}

#[tokio::test]
async fn a_batch_takes_one_turn() {
    let (real, contexts) = (fake("one", 1), (0..10).map(|_| context()).collect::<Vec<_>>());
    let made: Vec<_> = real.generate_many(&contexts).await.into_iter().map(Result::unwrap).collect();
    // The seventh does not open.
    let keys: Vec<_> = made
        .iter()
        .enumerate()
        .map(|(n, key)| (&key.wrapped, &contexts[if n == 6 { 0 } else { n }]))
        .collect();
    let batches = Arc::new(Batches { real: fake("one", 1), flaw: None });
    let opened = guarded(batches.clone(), 2).active().unwrap_many(&keys).await;
    assert_eq!(opened.len(), 10);
    for (position, opened) in opened.into_iter().enumerate() {
        match opened {
            Ok(opened) => assert_eq!(opened.expose(), made[position].material.expose()),
            Err(error) => assert_eq!((position, error.class), (6, ErrorClass::ContextMismatch)),
        }
    }
    assert_eq!((batches.real.calls.load(SeqCst), batches.real.most_in_flight.load(SeqCst)), (3, 2));
}

#[tokio::test]
async fn a_batch_that_is_not_answered_for_each_of_its_keys_fails_them_all() {
    let context = context();
    let key = fake("one", 1).generate(&context).await.unwrap();
    let keys = vec![(&key.wrapped, &context); 6];
    for (flaw, class) in [(Flaw::Hangs, ErrorClass::Unavailable), (Flaw::LosesOne, ErrorClass::BadAnswer)] {
        let batches = Arc::new(Batches { real: fake("one", 1), flaw: Some(flaw) });
        let refused = guarded(batches, 2).active().unwrap_many(&keys).await;
        let classes: Vec<_> = refused.into_iter().map(|refused| refused.unwrap_err().class).collect();
        assert_eq!(classes, [class; 6]);
    }
}

/// A method that is left out would do in this process what the service does within itself.
#[tokio::test]
async fn a_guard_passes_on_all_that_a_backend_does_better() {
    let batches = Arc::new(Batches { real: fake("one", 3), flaw: None });
    let guarded = guarded(batches.clone(), 2);
    let (guarded, context) = (guarded.active(), context());
    let key = batches.real.generate(&context).await.unwrap().wrapped;
    let to = batches.real.kek_id(0);
    let many = [(&key, &context)];
    for (method, error) in [
        ("generate", guarded.generate(&context).await.unwrap_err()),
        ("rewrap", guarded.rewrap(&key, &context, &to).await.unwrap_err()),
        ("check", guarded.check().await.unwrap_err()),
        ("mac", guarded.mac(b"").await.unwrap_err()),
        (
            "generate_many",
            guarded.generate_many(std::slice::from_ref(&context)).await.pop().unwrap().unwrap_err(),
        ),
        ("rewrap_many", guarded.rewrap_many(&many, &to).await.pop().unwrap().unwrap_err()),
    ] {
        assert_eq!(error.backend, method);
    }
    assert_eq!(guarded.realm(), batches.realm());
    assert_eq!(guarded.batch_size(), batches.batch_size());
    assert_eq!(guarded.mac_key(), Some("batches"));
    assert_eq!(guarded.all_current().await.unwrap().len(), 3);
    guarded.look().await;
    assert!(batches.real.calls.load(SeqCst) >= 1000);
}
