//! What can be seen of data keys and their backends from outside.

use std::{fmt, sync::Arc, time::Duration};

use strum::{EnumIter, IntoStaticStr};

use super::ErrorClass;

/// Is told of what happens to data keys and of every call to a key backend: for metrics. Each method does nothing unless it
/// is implemented, and none may wait.
pub trait Observer: fmt::Debug + Send + Sync {
    /// So many data keys met this event of the cache.
    fn cached(&self, event: CacheEvent, keys: u64) {
        let _ = (event, keys);
    }

    /// A key backend is there, so that its counters can begin at 0.
    fn backend_added(&self, backend: &str) {
        let _ = backend;
    }

    /// A call to a backend waits for its turn (`1`), or no longer does (`-1`).
    fn call_waiting(&self, backend: &str, change: i64) {
        let _ = (backend, change);
    }

    /// A call to a backend has begun (`1`), or ended (`-1`).
    fn call_in_flight(&self, backend: &str, change: i64) {
        let _ = (backend, change);
    }

    /// A call took so long, its retries included and its wait for a turn not.
    fn call_took(&self, backend: &str, operation: Operation, time: Duration) {
        let _ = (backend, operation, time);
    }

    /// A call ended; `failure` is what went wrong, if anything did.
    fn call_ended(&self, backend: &str, operation: Operation, failure: Option<ErrorClass>) {
        let _ = (backend, operation, failure);
    }

    /// A backend made an attempt after the first of a call.
    fn call_retried(&self, backend: &str) {
        let _ = backend;
    }

    /// A backend's service refused an attempt as one too many.
    fn call_throttled(&self, backend: &str) {
        let _ = backend;
    }

    /// A backend looked at its key file, and can use it or not.
    fn key_file_usable(&self, backend: &str, usable: bool) {
        let _ = (backend, usable);
    }
}

/// Nobody looks.
impl Observer for () {}

/// An [`Observer`] that several parts share.
pub type SharedObserver = Arc<dyn Observer>;

/// An observer for programs that have no metrics.
#[must_use]
pub fn unobserved() -> SharedObserver {
    Arc::new(())
}

/// A method of [`KeyBackend`](super::KeyBackend).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    /// `current`
    Current,
    /// `generate`
    Generate,
    /// `unwrap`
    Unwrap,
    /// `wrap`
    Wrap,
    /// `rewrap`
    Rewrap,
    /// `check`
    Check,
    /// `mac`
    Mac,
}

/// What happens in the cache of open data keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheEvent {
    /// A look-up found an open data key.
    Hit,
    /// A look-up found none.
    Miss,
    /// A miss waited for another's unwrap of the same key.
    Coalesced,
    /// A key came into the cache.
    Inserted,
    /// A key left the cache and was wiped.
    Evicted(EvictionCause),
    /// A key in use was unwrapped again before it expired.
    Refreshed(RefreshOutcome),
}

/// Why a key left the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum EvictionCause {
    /// It lived or idled for its time.
    Expired,
    /// The cache was full.
    Size,
    /// Its subject was forgotten, or its wrapped key is gone.
    Forgotten,
    /// It was unwrapped again.
    Refreshed,
}

/// How a refresh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum RefreshOutcome {
    /// The key was unwrapped again.
    Ok,
    /// The wrapped key is gone, and so the key left the cache.
    Gone,
    /// The old key serves until it expires.
    Failed,
}
