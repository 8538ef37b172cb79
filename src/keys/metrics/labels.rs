//! What data keys and their backends are counted by. Each kind is an enum, so that whoever adds a variant adds its counter.

use prometheus_client::encoding::EncodeLabelSet;
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

use crate::keys::ErrorClass;

/// What is asked of a backend: a method of [`KeyBackend`](crate::keys::KeyBackend).
#[derive(Clone, Copy, Debug, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(in crate::keys) enum Operation {
    Current,
    Generate,
    Unwrap,
    Wrap,
    Rewrap,
    Check,
}

/// Why a key left the cache.
#[derive(Clone, Copy, Debug, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(in crate::keys) enum EvictionCause {
    /// It lived or idled for its time.
    Expired,
    /// The cache was full.
    Size,
    /// Its subject was, or its wrapped key is gone.
    Forgotten,
    /// It was unwrapped again.
    Refreshed,
}

/// What became of a refresh.
#[derive(Clone, Copy, Debug, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(in crate::keys) enum RefreshOutcome {
    Ok,
    /// The wrapped key is, and so the key in the cache.
    Gone,
    /// The old key serves until it expires.
    Failed,
}

/// Which backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::keys) struct BackendLabels {
    pub(in crate::keys) backend: String,
}

/// Which backend was asked for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::keys) struct OperationLabels {
    backend: String,
    operation: &'static str,
}

/// What became of it: `ok`, or the name of an [`ErrorClass`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::keys) struct CallLabels {
    backend: String,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::keys) struct EvictionLabels {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::keys) struct RefreshLabels {
    outcome: &'static str,
}

impl OperationLabels {
    pub(in crate::keys) fn new(backend: &str, operation: Operation) -> Self {
        Self { backend: backend.to_owned(), operation: operation.into() }
    }

    /// All that a backend has.
    pub(super) fn all(backend: &str) -> impl Iterator<Item = Self> {
        Operation::iter().map(move |operation| Self::new(backend, operation))
    }
}

impl CallLabels {
    /// `failure`: what went wrong, if anything did.
    pub(in crate::keys) fn new(backend: &str, operation: Operation, failure: Option<ErrorClass>) -> Self {
        let outcome = failure.map_or("ok", ErrorClass::name);
        Self { backend: backend.to_owned(), operation: operation.into(), outcome }
    }

    /// All that a backend has.
    pub(super) fn all(backend: &str) -> impl Iterator<Item = Self> {
        let outcomes = || std::iter::once(None).chain(ErrorClass::iter().map(Some));
        Operation::iter()
            .flat_map(move |operation| outcomes().map(move |outcome| Self::new(backend, operation, outcome)))
    }
}

impl From<EvictionCause> for EvictionLabels {
    fn from(cause: EvictionCause) -> Self {
        Self { cause: cause.into() }
    }
}

impl From<RefreshOutcome> for RefreshLabels {
    fn from(outcome: RefreshOutcome) -> Self {
        Self { outcome: outcome.into() }
    }
}
