//! [`KeyMetrics`]: what Prometheus is shown of data keys and their backends.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use strum::IntoEnumIterator;

use crate::{
    from_zero::{from_zero, seconds_of_a_call},
    keys::{CacheEvent, ErrorClass, EvictionCause, Observer, Operation, RefreshOutcome, SharedObserver},
};

/// What a user can see of data keys and their backends. All clones count together.
///
/// `docs/operations.md` lists the names, and what to alert on.
#[derive(Clone, Debug)]
pub struct KeyMetrics {
    cache: CacheMetrics,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<OperationLabels, Histogram>,
    calls_in_flight: Family<BackendLabels, Gauge>,
    calls_waiting: Family<BackendLabels, Gauge>,
    retries: Family<BackendLabels, Counter>,
    throttles: Family<BackendLabels, Counter>,
    key_files: Family<BackendLabels, Gauge>,
}

/// What the cache of open data keys counts.
#[derive(Clone, Debug)]
struct CacheMetrics {
    hits: Counter,
    misses: Counter,
    coalesced: Counter,
    refreshes: Family<RefreshLabels, Counter>,
    evictions: Family<EvictionLabels, Counter>,
    entries: Gauge,
}

impl KeyMetrics {
    /// Adds the metrics to what `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        let CacheMetrics { hits, misses, coalesced, refreshes, evictions, entries } = self.cache.clone();
        let cache = registry.sub_registry_with_prefix("key_cache");
        cache.register("hits", "Look-ups that found an open data key", hits);
        cache.register("misses", "Look-ups that found none", misses);
        cache.register("coalesced", "Misses that waited for another's unwrap of the same key", coalesced);
        cache.register("refreshes", "Keys in use that were unwrapped again before they expired", refreshes);
        cache.register("evictions", "Keys that left the cache and were wiped", evictions);
        cache.register("entries", "Open data keys in the cache", entries);

        let Self {
            cache: _,
            calls,
            call_seconds,
            calls_in_flight,
            calls_waiting,
            retries,
            throttles,
            key_files,
        } = self.clone();
        let backend = registry.sub_registry_with_prefix("key_backend");
        backend.register("calls", "Calls that ended, by what became of them", calls);
        backend.register("call_seconds", "Time of a call, its retries included, its wait not", call_seconds);
        backend.register("calls_in_flight", "Calls that have begun and not ended", calls_in_flight);
        backend.register("calls_waiting", "Calls that wait for their turn", calls_waiting);
        backend.register("retries", "Attempts after the first of a call", retries);
        backend.register("throttles", "Attempts that the backend refused as too many", throttles);
        backend.register("key_file_usable", "Whether the key file could be used at the last look", key_files);
    }
}

impl Observer for KeyMetrics {
    fn cached(&self, event: CacheEvent, keys: u64) {
        let cache = &self.cache;
        match event {
            CacheEvent::Hit => drop(cache.hits.inc_by(keys)),
            CacheEvent::Miss => drop(cache.misses.inc_by(keys)),
            CacheEvent::Coalesced => drop(cache.coalesced.inc_by(keys)),
            CacheEvent::Inserted => drop(cache.entries.inc_by(keys.cast_signed())),
            CacheEvent::Evicted(cause) => {
                cache.entries.dec_by(keys.cast_signed());
                cache.evictions.get_or_create(&cause.into()).inc_by(keys);
            }
            CacheEvent::Refreshed(outcome) => {
                cache.refreshes.get_or_create(&outcome.into()).inc_by(keys);
            }
        }
    }

    fn backend_added(&self, backend: &str) {
        from_zero(&self.calls, CallLabels::all(backend));
        from_zero(&self.call_seconds, OperationLabels::all(backend));
        let labels = || [BackendLabels::new(backend)];
        from_zero(&self.calls_in_flight, labels());
        from_zero(&self.calls_waiting, labels());
        from_zero(&self.retries, labels());
        from_zero(&self.throttles, labels());
    }

    fn call_waiting(&self, backend: &str, change: i64) {
        self.calls_waiting.get_or_create(&BackendLabels::new(backend)).inc_by(change);
    }

    fn call_in_flight(&self, backend: &str, change: i64) {
        self.calls_in_flight.get_or_create(&BackendLabels::new(backend)).inc_by(change);
    }

    fn call_took(&self, backend: &str, operation: Operation, time: Duration) {
        let labels = OperationLabels::new(backend, operation);
        self.call_seconds.get_or_create(&labels).observe(time.as_secs_f64());
    }

    fn call_ended(&self, backend: &str, operation: Operation, failure: Option<ErrorClass>) {
        self.calls.get_or_create(&CallLabels::new(backend, operation, failure)).inc();
    }

    fn call_retried(&self, backend: &str) {
        self.retries.get_or_create(&BackendLabels::new(backend)).inc();
    }

    fn call_throttled(&self, backend: &str) {
        self.throttles.get_or_create(&BackendLabels::new(backend)).inc();
    }

    fn key_file_usable(&self, backend: &str, usable: bool) {
        self.key_files.get_or_create(&BackendLabels::new(backend)).set(usable.into());
    }
}

impl From<KeyMetrics> for SharedObserver {
    fn from(metrics: KeyMetrics) -> Self {
        Arc::new(metrics)
    }
}

impl Default for KeyMetrics {
    fn default() -> Self {
        Self {
            cache: CacheMetrics::default(),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(|| Histogram::new(seconds_of_a_call())),
            calls_in_flight: Family::default(),
            calls_waiting: Family::default(),
            retries: Family::default(),
            throttles: Family::default(),
            key_files: Family::default(),
        }
    }
}

impl Default for CacheMetrics {
    fn default() -> Self {
        let (refreshes, evictions) = (Family::default(), Family::default());
        from_zero(&refreshes, RefreshOutcome::iter());
        from_zero(&evictions, EvictionCause::iter());
        Self {
            hits: Counter::default(),
            misses: Counter::default(),
            coalesced: Counter::default(),
            refreshes,
            evictions,
            entries: Gauge::default(),
        }
    }
}

/// Which backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BackendLabels {
    backend: String,
}

/// Which backend was asked for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    backend: String,
    operation: &'static str,
}

/// What became of it: `ok`, or the name of an [`ErrorClass`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    backend: String,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EvictionLabels {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefreshLabels {
    outcome: &'static str,
}

impl BackendLabels {
    fn new(backend: &str) -> Self {
        Self { backend: backend.to_owned() }
    }
}

impl OperationLabels {
    fn new(backend: &str, operation: Operation) -> Self {
        Self { backend: backend.to_owned(), operation: operation.into() }
    }

    /// All that a backend has.
    fn all(backend: &str) -> impl Iterator<Item = Self> {
        Operation::iter().map(move |operation| Self::new(backend, operation))
    }
}

impl CallLabels {
    /// `failure`: what went wrong, if anything did.
    fn new(backend: &str, operation: Operation, failure: Option<ErrorClass>) -> Self {
        let outcome = failure.map_or("ok", ErrorClass::name);
        Self { backend: backend.to_owned(), operation: operation.into(), outcome }
    }

    /// All that a backend has.
    fn all(backend: &str) -> impl Iterator<Item = Self> {
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
