//! Counters that are there before anything is counted.
//!
//! Prometheus tells an event by the difference between two looks. A counter that appears at 1 with its first event has none:
//! the alert on it would wait for the second. So the code that makes a family of counters says at once what it will have.

use std::hash::Hash;

use prometheus_client::metrics::{
    family::{Family, MetricConstructor},
    histogram::exponential_buckets,
};

/// Makes the metrics for all these labels, or the enum's variants that they are made from, at 0.
pub(crate) fn from_zero<L, M, C>(family: &Family<L, M, C>, labels: impl IntoIterator<Item = impl Into<L>>)
where
    L: Clone + Hash + Eq,
    M: Clone,
    C: MetricConstructor<M>,
{
    for labels in labels {
        family.get_or_create_owned(&labels.into());
    }
}

/// The buckets of a call to another service or to the database: 0.5 ms to 8 s.
pub(crate) fn seconds_of_a_call() -> impl Iterator<Item = f64> {
    exponential_buckets(0.0005, 2.0, 15)
}
