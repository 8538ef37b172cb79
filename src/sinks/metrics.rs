use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// What a user can see of the sinks. All clones count together.
///
/// `docs/operations.md` lists the names, and what to alert on.
#[derive(Clone, Debug, Default)]
pub struct SinkMetrics {
    good: Family<SinkLabels, Gauge>,
    entries: Family<SinkLabels, Gauge>,
    unpublished: Family<SinkLabels, Gauge>,
    replayed: Counter,
    trusted: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    sink: String,
}

impl SinkMetrics {
    /// Adds the metrics to what `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        let Self { good, entries, unpublished, replayed, trusted } = self.clone();
        let sinks = registry.sub_registry_with_prefix("sink");
        sinks.register("good", "Whether the database and the sink are at one", good);
        sinks.register("entries", "Entries of the erasure ledger that are in the sink", entries);
        sinks.register(
            "unpublished_entries",
            "Entries that are in the database, and not in the sink",
            unpublished,
        );
        sinks.register(
            "replayed_entries",
            "Entries that the database lacked, and that were brought in from a sink",
            replayed,
        );
        sinks.register(
            "trusted",
            "Whether people are answered about, as far as the sinks go; 0 if there is no sink",
            trusted,
        );
    }

    pub(super) fn set_trusted(&self, is_trusted: bool) {
        self.trusted.set(is_trusted.into());
    }

    pub(super) fn set_good(&self, sink: &str, is_good: bool) {
        self.good.get_or_create(&labels(sink)).set(is_good.into());
    }

    pub(super) fn set_entries(&self, sink: &str, of_sink: i64, of_database: i64) {
        self.entries.get_or_create(&labels(sink)).set(of_sink);
        self.unpublished.get_or_create(&labels(sink)).set((of_database - of_sink).max(0));
    }

    pub(super) fn replayed(&self, entries: usize) {
        self.replayed.inc_by(entries as u64);
    }
}

fn labels(sink: &str) -> SinkLabels {
    SinkLabels { sink: sink.to_owned() }
}
