use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

use crate::from_zero::{from_zero, seconds_of_a_call};

/// What can be seen of the batch writer. All clones count together.
///
/// `docs/operations.md` lists the names, and what to alert on.
#[derive(Clone, Debug)]
pub struct AuditMetrics {
    pub(super) events: Counter,
    pub(super) dropped: Counter,
    pub(super) crowded: Counter,
    pub(super) batches: Family<BatchLabels, Counter>,
    pub(super) waiting: Gauge,
    pub(super) write_seconds: Histogram,
}

impl AuditMetrics {
    /// Adds the metrics to what `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        let Self { events, dropped, crowded, batches, waiting, write_seconds } = self.clone();
        let audit = registry.sub_registry_with_prefix("audit");
        audit.register("events", "Events that the batch writer stored", events);
        audit.register(
            "dropped",
            "Events that were lost: nothing waited for them, and no room was left",
            dropped,
        );
        audit.register(
            "crowded",
            "Requests whose events had no room, as too many of the same actor waited",
            crowded,
        );
        audit.register("batches", "Batches that were written, by what became of them", batches);
        audit.register("waiting", "Events that wait to be stored", waiting);
        audit.register("write_seconds", "Time to store a batch", write_seconds);
    }
}

impl Default for AuditMetrics {
    fn default() -> Self {
        let batches = Family::default();
        from_zero(&batches, BatchOutcome::iter());
        Self {
            events: Counter::default(),
            dropped: Counter::default(),
            crowded: Counter::default(),
            batches,
            waiting: Gauge::default(),
            write_seconds: Histogram::new(seconds_of_a_call()),
        }
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum BatchOutcome {
    Ok,
    /// Each request that waited for it was told; the rest is tried again.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BatchLabels {
    outcome: &'static str,
}

impl From<BatchOutcome> for BatchLabels {
    fn from(outcome: BatchOutcome) -> Self {
        Self { outcome: outcome.into() }
    }
}
