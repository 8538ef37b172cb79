use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::join_all;
use tokio::sync::Semaphore;
use zeroize::zeroize_stack;

use super::{BackendError, ErrorClass, GeneratedKey, KeyBackend, Ownership};
use crate::{
    KekId, KeyContext, Observer, Operation, Realm, SharedObserver, WrappedKey,
    config::KeysConfig,
    envelope::{KeyMaterial, MAC_LENGTH},
};

/// What a backend uses of the stack for data keys on their way, in decoders and ciphers, in bytes; more where
/// nothing is inlined.
const STACK_OF_CALL: usize = if cfg!(debug_assertions) { 512 * 1024 } else { 64 * 1024 };

const NO_ANSWER: &str = "no answer within keys.call_timeout";

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
        let answer = self.timed(operation, call).await;
        let answer = answer.unwrap_or_else(|too_late| Err(self.unavailable(too_late)));
        self.ended(operation, answer.as_ref().err());
        answer
    }

    /// The same for one batch of many, each with its own result; with too few or too many, it cannot be told whose is whose. What failed first is what the call is said to have failed with.
    async fn in_one_turn<T>(
        &self,
        operation: Operation,
        size: usize,
        call: impl Future<Output = Vec<Result<T, BackendError>>>,
    ) -> Vec<Result<T, BackendError>> {
        let each = |class, why| (0..size).map(|_| Err(BackendError::new(self.name(), class, why))).collect();
        let answers = match self.timed(operation, call).await {
            Ok(answers) if answers.len() == size => answers,
            Ok(_) => each(ErrorClass::BadAnswer, "not as many answers as data keys"),
            Err(too_late) => each(ErrorClass::Unavailable, too_late),
        };
        self.ended(operation, answers.iter().find_map(|answer| answer.as_ref().err()));
        answers
    }

    /// What a call answers in its turn; or why there is no answer.
    async fn timed<T>(&self, operation: Operation, call: impl Future<Output = T>) -> Result<T, &'static str> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        let turn = {
            let _waiting = Counted::new(self, |observer, backend, by| observer.call_waiting(backend, by));
            tokio::time::timeout_at(deadline, self.turns.acquire()).await
        };
        let Ok(Ok(_turn)) = turn else { return Err("no turn within keys.call_timeout") };
        let started = Instant::now();
        let answer = {
            let _in_flight = Counted::new(self, |observer, backend, by| observer.call_in_flight(backend, by));
            tokio::time::timeout_at(deadline, call).await
        };
        zeroize_stack::<STACK_OF_CALL>();
        self.observe(operation, started);
        answer.map_err(|_| NO_ANSWER)
    }

    fn observe(&self, operation: Operation, started: Instant) {
        self.observer.call_took(self.name(), operation, started.elapsed());
    }

    fn ended(&self, operation: Operation, failure: Option<&BackendError>) {
        self.observer.call_ended(self.name(), operation, failure.map(|error| error.class));
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

    fn realm(&self) -> Realm {
        self.inner.realm()
    }

    fn unwraps_in_process(&self) -> bool {
        self.inner.unwraps_in_process()
    }

    fn batch_size(&self) -> Option<NonZeroUsize> {
        self.inner.batch_size()
    }

    fn mac_key(&self) -> Option<&str> {
        self.inner.mac_key()
    }

    async fn mac(&self, message: &[u8]) -> Result<[u8; MAC_LENGTH], BackendError> {
        self.in_turn(Operation::Mac, self.inner.mac(message)).await
    }

    async fn current(&self, context: &KeyContext) -> Result<KekId, BackendError> {
        self.in_turn(Operation::Current, self.inner.current(context)).await
    }

    async fn all_current(&self) -> Result<Vec<KekId>, BackendError> {
        self.in_turn(Operation::Current, self.inner.all_current()).await
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
        let checked = checked.unwrap_or_else(|_| Err(self.unavailable(NO_ANSWER)));
        self.ended(Operation::Check, checked.as_ref().err());
        checked
    }

    async fn look(&self) {
        self.inner.look().await;
    }

    async fn generate_many(&self, contexts: &[KeyContext]) -> Vec<Result<GeneratedKey, BackendError>> {
        let Some(size) = self.batch_size() else {
            return join_all(contexts.iter().map(|context| self.generate(context))).await;
        };
        let batches = contexts
            .chunks(size.get())
            .map(|batch| self.in_one_turn(Operation::Generate, batch.len(), self.inner.generate_many(batch)));
        join_all(batches).await.into_iter().flatten().collect()
    }

    async fn unwrap_many(
        &self,
        keys: &[(&WrappedKey, &KeyContext)],
    ) -> Vec<Result<KeyMaterial, BackendError>> {
        let Some(size) = self.batch_size() else {
            return join_all(keys.iter().map(|(wrapped, context)| self.unwrap(wrapped, context))).await;
        };
        let batches = keys
            .chunks(size.get())
            .map(|batch| self.in_one_turn(Operation::Unwrap, batch.len(), self.inner.unwrap_many(batch)));
        join_all(batches).await.into_iter().flatten().collect()
    }

    async fn rewrap_many(
        &self,
        keys: &[(&WrappedKey, &KeyContext)],
        to: &KekId,
    ) -> Vec<Result<WrappedKey, BackendError>> {
        let Some(size) = self.batch_size() else {
            return join_all(keys.iter().map(|(wrapped, context)| self.rewrap(wrapped, context, to))).await;
        };
        let batches = keys
            .chunks(size.get())
            .map(|batch| self.in_one_turn(Operation::Rewrap, batch.len(), self.inner.rewrap_many(batch, to)));
        join_all(batches).await.into_iter().flatten().collect()
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
