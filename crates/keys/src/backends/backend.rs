use std::{error::Error, fmt, num::NonZeroUsize};

use async_trait::async_trait;
use futures::future::join_all;
use strum::EnumIter;

use crate::{
    KekId, KeyContext, Realm, WrappedKey,
    envelope::{KeyMaterial, MAC_LENGTH},
};

/// What wraps data keys and unwraps them: a key management service, or keys in a file.
///
/// Five methods are required. The others are made of them, and are there for services that do better. A backend that layers
/// on another (metrics, limits, intermediate keys) passes all of them on. Implementations do not log keys, and wipe what they
/// held of them.
#[async_trait]
pub trait KeyBackend: fmt::Debug + Send + Sync {
    /// The backend's name in the configuration: `[keys.backends.<name>]`.
    fn name(&self) -> &str;

    /// Whether this backend can unwrap what `kek_id` wrapped. Routes; makes no call.
    fn owns(&self, kek_id: &KekId) -> Ownership;

    /// The wrapping key that a new key of this context is wrapped under, at this moment.
    async fn current(&self, context: &KeyContext) -> Result<KekId, BackendError>;

    /// Wraps an open data key under `to`, a wrapping key that this backend owns, bound to `context`.
    async fn wrap(
        &self,
        material: &KeyMaterial,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError>;

    /// Opens a data key that was wrapped in the same `context`.
    async fn unwrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<KeyMaterial, BackendError>;

    /// All wrapping keys that [`KeyBackend::current`] gives for data keys, at this moment. More than one only where it depends
    /// on the context.
    async fn all_current(&self) -> Result<Vec<KekId>, BackendError> {
        Ok(vec![self.current(&KeyContext::of_nobody()).await?])
    }

    /// Makes a data key and wraps it under the current wrapping key, bound to `context`.
    async fn generate(&self, context: &KeyContext) -> Result<GeneratedKey, BackendError> {
        let material = KeyMaterial::generate()
            .map_err(|error| BackendError::new(self.name(), ErrorClass::Unavailable, error))?;
        let wrapped = self.wrap(&material, context, &self.current(context).await?).await?;
        Ok(GeneratedKey { material, wrapped })
    }

    /// Moves a data key to `to`, a wrapping key that this backend owns; the data key itself stays the same.
    async fn rewrap(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        let material = self.unwrap(wrapped, context).await?;
        self.wrap(&material, context, to).await
    }

    /// Whether the current wrapping key exists, is enabled, and may be used; and which it is. For readiness.
    async fn check(&self) -> Result<KekId, BackendError> {
        probe(self).await
    }

    /// Backends of one realm rewrap each other's keys, where [`KeyBackend::owns`] agrees: the same service,
    /// asked with the same credentials and the same additions to the context.
    fn realm(&self) -> Realm {
        Realm::alone(self.name())
    }

    /// Which key [`KeyBackend::mac`] computes with: an id that never comes to name another one. `None`: it makes no MACs.
    fn mac_key(&self) -> Option<&str> {
        None
    }

    /// HMAC-SHA-256 (RFC 2104) of a message under a key that never leaves the service. The same message has the same MAC for as long as
    /// [`KeyBackend::mac_key`] is the same.
    async fn mac(&self, message: &[u8]) -> Result<[u8; MAC_LENGTH], BackendError> {
        let _ = message;
        Err(BackendError::new(self.name(), ErrorClass::KeyNotFound, "it makes no MACs"))
    }

    /// Looks whether wrapping keys have changed, where somebody outside changes them and says nothing. Called every second.
    async fn look(&self) {}

    /// Whether unwrapping is a computation in this process, and no call to a service. Then those who ask for one key at the same time do
    /// not wait for each other: each computes it.
    fn unwraps_in_process(&self) -> bool {
        false
    }

    /// How many keys the service takes in one call. `None`: it takes them one by one, and the methods for many make as many
    /// calls at once.
    fn batch_size(&self) -> Option<NonZeroUsize> {
        None
    }

    /// [`KeyBackend::generate`] for many: each has its own result, in the order of `contexts`. No more than
    /// [`KeyBackend::batch_size`].
    async fn generate_many(&self, contexts: &[KeyContext]) -> Vec<Result<GeneratedKey, BackendError>> {
        join_all(contexts.iter().map(|context| self.generate(context))).await
    }

    /// [`KeyBackend::unwrap`] for many.
    async fn unwrap_many(
        &self,
        keys: &[(&WrappedKey, &KeyContext)],
    ) -> Vec<Result<KeyMaterial, BackendError>> {
        join_all(keys.iter().map(|(wrapped, context)| self.unwrap(wrapped, context))).await
    }

    /// [`KeyBackend::rewrap`] for many, all to one wrapping key.
    async fn rewrap_many(
        &self,
        keys: &[(&WrappedKey, &KeyContext)],
        to: &KekId,
    ) -> Vec<Result<WrappedKey, BackendError>> {
        join_all(keys.iter().map(|(wrapped, context)| self.rewrap(wrapped, context, to))).await
    }
}

/// Makes a data key of nobody and opens it again: what a check does where no call tells as much without it.
pub(crate) async fn probe<B: KeyBackend + ?Sized>(backend: &B) -> Result<KekId, BackendError> {
    let context = KeyContext::of_nobody();
    let wrapped = backend.generate(&context).await?.wrapped;
    backend.unwrap(&wrapped, &context).await?;
    Ok(wrapped.kek_id)
}

/// How surely a backend can unwrap what a wrapping key wrapped. The surest gets the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ownership {
    /// Not at all.
    No,
    /// It looks like one of this backend's keys: the same account and region.
    Likely,
    /// It is the backend's own wrapping key.
    Certain,
}

/// A fresh data key, open and wrapped.
#[derive(Debug)]
pub struct GeneratedKey {
    /// The key itself.
    pub material: KeyMaterial,
    /// The key as it is stored.
    pub wrapped: WrappedKey,
}

/// A backend did not do what it was asked. [`ErrorClass`] says what that means for the caller.
#[derive(Debug, thiserror::Error)]
#[error("key backend `{backend}`: {class}")]
pub struct BackendError {
    /// The backend's name in the configuration.
    pub backend: String,
    /// What went wrong, as far as the caller must know.
    pub class: ErrorClass,
    /// What the backend itself said. For the log only.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl BackendError {
    /// A failure with what the backend itself said.
    pub fn new(
        backend: impl Into<String>,
        class: ErrorClass,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { backend: backend.into(), class, source: Some(source.into()) }
    }
}

/// What a backend's failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorClass {
    /// No answer, or not in time. Trying again later may help.
    #[error("unavailable")]
    Unavailable,
    /// Too many calls. Trying again later, and slower, helps.
    #[error("throttled")]
    Throttled,
    /// The answer makes no sense, so whoever gave it is not believed. Trying again later may help.
    #[error("the answer makes no sense")]
    BadAnswer,
    /// The credentials do not permit the call. An operator must act.
    #[error("access denied")]
    Denied,
    /// The key is disabled or waits for its deletion. An operator must act.
    #[error("the key is disabled")]
    KeyDisabled,
    /// The key does not exist, or no longer. An operator must act.
    #[error("the key does not exist")]
    KeyNotFound,
    /// The key is none that wraps data keys, or that makes MACs: of another kind, or for another use. An operator must
    /// act.
    #[error("the key is of another kind, or for another use")]
    KeyUnsuitable,
    /// Wrapped in another context, under another key, or tampered with: a backend cannot tell which.
    #[error("the wrapped key does not belong to this subject and version, or was tampered with")]
    ContextMismatch,
    /// The wrapped bytes are none that this backend ever wrote.
    #[error("the wrapped key is malformed")]
    Malformed,
}

impl ErrorClass {
    /// A short name, as metrics use it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::BadAnswer => "bad_answer",
            Self::Denied => "denied",
            Self::KeyDisabled => "key_disabled",
            Self::KeyNotFound => "key_not_found",
            Self::KeyUnsuitable => "key_unsuitable",
            Self::ContextMismatch => "context_mismatch",
            Self::Malformed => "malformed",
        }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Throttled | Self::BadAnswer)
    }

    /// Whether the wrapped key itself is at fault, and not the backend.
    #[must_use]
    pub fn blames_the_wrapped_key(self) -> bool {
        matches!(self, Self::ContextMismatch | Self::Malformed)
    }
}
