use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use zeroize::zeroize_stack;

use super::{
    BackendError, ErrorClass, GeneratedKey, KekId, KeyBackend, KeyContext, Observer, Operation, Ownership,
    SharedObserver, WrappedKey,
};
use crate::{config::KeysConfig, envelope::KeyMaterial};

/// What a backend uses of the stack for data keys on their way, in decoders and ciphers, in bytes; more where
/// nothing is inlined.
const STACK_OF_CALL: usize = if cfg!(debug_assertions) { 512 * 1024 } else { 64 * 1024 };

/// What every call to a key backend passes: its turn, its deadline, its metrics. What it left on the stack is
/// wiped.
///
/// The turns are this backend's own, so that one that hangs does not hold up the others. They are given in
/// order of arrival.
#[derive(Debug)]
pub(super) struct GuardedBackend {
    inner: Arc<dyn KeyBackend>,
    turns: Semaphore,
    timeout: Duration,
    observer: SharedObserver,
}

impl GuardedBackend {
    pub(super) fn new(inner: Arc<dyn KeyBackend>, config: &KeysConfig, observer: SharedObserver) -> Self {
        observer.backend_added(inner.name());
        Self {
            turns: Semaphore::new(config.max_concurrent_calls.get().min(Semaphore::MAX_PERMITS)),
            timeout: config.call_timeout,
            inner,
            observer,
        }
    }

    /// Waits for a turn and calls, within the timeout.
    async fn in_turn<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        let turn = {
            let _waiting = Counted::new(self, |observer, backend, by| observer.call_waiting(backend, by));
            tokio::time::timeout_at(deadline, self.turns.acquire()).await
        };
        let Ok(Ok(_turn)) = turn else {
            return self.ended(operation, Err(self.unavailable("no turn within keys.call_timeout")));
        };
        let started = Instant::now();
        let answer = {
            let _in_flight = Counted::new(self, |observer, backend, by| observer.call_in_flight(backend, by));
            tokio::time::timeout_at(deadline, call).await
        };
        zeroize_stack::<STACK_OF_CALL>();
        self.observe(operation, started);
        self.ended(
            operation,
            answer.unwrap_or_else(|_| Err(self.unavailable("no answer within keys.call_timeout"))),
        )
    }

    fn observe(&self, operation: Operation, started: Instant) {
        self.observer.call_took(self.name(), operation, started.elapsed());
    }

    fn ended<T>(&self, operation: Operation, result: Result<T, BackendError>) -> Result<T, BackendError> {
        let failure = result.as_ref().err().map(|error| error.class);
        self.observer.call_ended(self.name(), operation, failure);
        result
    }

    fn unavailable(&self, why: &'static str) -> BackendError {
        BackendError::new(self.name(), ErrorClass::Unavailable, why)
    }
}

#[async_trait]
impl KeyBackend for GuardedBackend {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn owns(&self, kek_id: &KekId) -> Ownership {
        self.inner.owns(kek_id)
    }

    fn realm(&self) -> String {
        self.inner.realm()
    }

    async fn current(&self) -> Result<KekId, BackendError> {
        self.in_turn(Operation::Current, self.inner.current()).await
    }

    async fn generate(&self, context: &KeyContext) -> Result<GeneratedKey, BackendError> {
        self.in_turn(Operation::Generate, self.inner.generate(context)).await
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<KeyMaterial, BackendError> {
        self.in_turn(Operation::Unwrap, self.inner.unwrap(wrapped, context)).await
    }

    async fn wrap(
        &self,
        material: &KeyMaterial,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        self.in_turn(Operation::Wrap, self.inner.wrap(material, context, to)).await
    }

    async fn rewrap(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        self.in_turn(Operation::Rewrap, self.inner.rewrap(wrapped, context, to)).await
    }

    /// Takes no turn: whether a backend answers must not depend on how busy it is kept.
    async fn check(&self) -> Result<KekId, BackendError> {
        let started = Instant::now();
        let checked = tokio::time::timeout(self.timeout, self.inner.check()).await;
        self.observe(Operation::Check, started);
        let unavailable = |_| Err(self.unavailable("no answer within keys.call_timeout"));
        self.ended(Operation::Check, checked.unwrap_or_else(unavailable))
    }

    async fn look(&self) {
        self.inner.look().await;
    }
}

/// One more, for as long as this lives: a call that is given up counts down, too.
struct Counted<'a> {
    backend: &'a GuardedBackend,
    tell: fn(&dyn Observer, &str, i64),
}

impl<'a> Counted<'a> {
    fn new(backend: &'a GuardedBackend, tell: fn(&dyn Observer, &str, i64)) -> Self {
        tell(&*backend.observer, backend.name(), 1);
        Self { backend, tell }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        (self.tell)(&*self.backend.observer, self.backend.name(), -1);
    }
}
