use std::sync::atomic::AtomicU64;

use chrono::{DateTime, Utc};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

use crate::from_zero::from_zero;

/// What a user can see of how this server learns of forgettings. All clones count together.
///
/// `docs/operations.md` lists the names, and what to alert on.
#[derive(Clone, Debug)]
pub struct PeerMetrics {
    pub(super) erasures: Family<LearnedLabels, Counter>,
    pub(super) eviction_delay: Histogram,
    pub(super) last_look: Gauge<f64, AtomicU64>,
    pub(super) listening: Gauge,
    pub(super) ledger_rolled_back: Gauge,
}

impl PeerMetrics {
    /// Adds the metrics to what `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        let Self { erasures, eviction_delay, last_look, listening, ledger_rolled_back } = self.clone();
        let peer = registry.sub_registry_with_prefix("peer");
        peer.register("erasures", "Erasures read in the ledger, by what made the server look", erasures);
        peer.register(
            "eviction_delay_seconds",
            "Time from an erasure to the eviction of its data keys here",
            eviction_delay,
        );
        peer.register(
            "last_look_timestamp_seconds",
            "When the ledger was last looked at with success",
            last_look,
        );
        peer.register("listening", "Whether the server hears notifications of other servers", listening);
        peer.register(
            "ledger_rolled_back",
            "Whether the ledger went back, so that nothing personal is answered until an operator adopts it",
            ledger_rolled_back,
        );
    }

    pub(super) fn looked(&self) {
        #[expect(clippy::cast_precision_loss, reason = "exact for the next 285 years")]
        self.last_look.set(Utc::now().timestamp_micros() as f64 / 1e6);
    }

    /// An erasure whose data keys are evicted now. Another machine's clock may be ahead of ours.
    pub(super) fn learned(&self, learned_by: LearnedBy, erased_at: DateTime<Utc>) {
        let delay = (Utc::now() - erased_at).to_std().unwrap_or_default();
        self.eviction_delay.observe(delay.as_secs_f64());
        self.erasures.get_or_create(&learned_by.into()).inc();
    }
}

impl Default for PeerMetrics {
    fn default() -> Self {
        let erasures = Family::default();
        from_zero(&erasures, LearnedBy::iter());
        Self {
            erasures,
            // 1 ms to 33 s.
            eviction_delay: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            last_look: Gauge::default(),
            listening: Gauge::default(),
            ledger_rolled_back: Gauge::default(),
        }
    }
}

/// What made the server look into the ledger.
#[derive(Clone, Copy, Debug, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum LearnedBy {
    /// Somebody said that there is something new.
    Notification,
    /// It was time.
    Poll,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LearnedLabels {
    learned_by: &'static str,
}

impl From<LearnedBy> for LearnedLabels {
    fn from(learned_by: LearnedBy) -> Self {
        Self { learned_by: learned_by.into() }
    }
}
