mod labels;

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use strum::IntoEnumIterator;

pub(super) use labels::{
    BackendLabels, CallLabels, EvictionCause, EvictionLabels, Operation, OperationLabels, RefreshLabels,
    RefreshOutcome,
};

use crate::from_zero::from_zero;

/// What a user can see of data keys and their backends. All clones count together.
///
/// `docs/operations.md` lists the names, and what to alert on.
#[derive(Clone, Debug)]
pub struct KeyMetrics {
    pub(super) cache: CacheMetrics,
    pub(super) calls: Family<CallLabels, Counter>,
    pub(super) call_seconds: Family<OperationLabels, Histogram>,
    pub(super) calls_in_flight: Family<BackendLabels, Gauge>,
    pub(super) calls_waiting: Family<BackendLabels, Gauge>,
    pub(super) retries: Family<BackendLabels, Counter>,
    pub(super) throttles: Family<BackendLabels, Counter>,
    key_files: Family<BackendLabels, Gauge>,
}

/// What the cache of open data keys counts.
#[derive(Clone, Debug)]
pub(super) struct CacheMetrics {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) coalesced: Counter,
    pub(super) refreshes: Family<RefreshLabels, Counter>,
    pub(super) evictions: Family<EvictionLabels, Counter>,
    pub(super) entries: Gauge,
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

    /// Has all that is counted of a backend, from now on.
    pub(super) fn count_backend(&self, backend: &str) {
        from_zero(&self.calls, CallLabels::all(backend));
        from_zero(&self.call_seconds, OperationLabels::all(backend));
        let labels = || [BackendLabels { backend: backend.to_owned() }];
        from_zero(&self.calls_in_flight, labels());
        from_zero(&self.calls_waiting, labels());
        from_zero(&self.retries, labels());
        from_zero(&self.throttles, labels());
    }

    /// Whether a local backend's key file can be used.
    pub(super) fn key_file_usable(&self, backend: &str) -> Gauge {
        self.key_files.get_or_create_owned(&BackendLabels { backend: backend.to_owned() })
    }
}

impl Default for KeyMetrics {
    fn default() -> Self {
        Self {
            cache: CacheMetrics::default(),
            calls: Family::default(),
            // 0.5 ms to 8 s.
            call_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.0005, 2.0, 15))
            }),
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
