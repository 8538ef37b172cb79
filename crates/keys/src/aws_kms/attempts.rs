use std::{
    error::Error,
    fmt,
    marker::PhantomData,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use aws_sdk_kms::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef},
    },
    error::{BoxError, ProvideErrorMetadata},
};

use super::{SharedObserver, errors};

/// Counts what the SDK does by itself within one call: retries, and throttled attempts. `E` is the
/// operation's error.
pub(super) struct CountAttempts<E> {
    attempts: AtomicU32,
    backend: String,
    observer: SharedObserver,
    operation: PhantomData<fn() -> E>,
}

impl<E> CountAttempts<E> {
    pub(super) fn new(backend: &str, observer: &SharedObserver) -> Self {
        Self {
            attempts: AtomicU32::new(0),
            backend: backend.to_owned(),
            observer: observer.clone(),
            operation: PhantomData,
        }
    }
}

impl<E: Error + ProvideErrorMetadata + Send + Sync + 'static> Intercept for CountAttempts<E> {
    fn name(&self) -> &'static str {
        "CountAttempts"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.attempts.fetch_add(1, Relaxed) > 0 {
            self.observer.call_retried(&self.backend);
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let error = context.output_or_error().and_then(Result::err);
        let answered = error.and_then(|error| error.as_operation_error()?.downcast_ref::<E>());
        if answered.and_then(E::code).is_some_and(errors::is_throttle) {
            self.observer.call_throttled(&self.backend);
        }
        Ok(())
    }
}

impl<E> fmt::Debug for CountAttempts<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountAttempts").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
