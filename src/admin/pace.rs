//! How many people a second a command deals with.

use std::time::Duration;

use tokio::time::Instant;

/// So many people a second at most, in even batches.
#[derive(Debug)]
pub(super) struct PeoplePace {
    most: Option<u32>,
    not_before: Instant,
}

impl PeoplePace {
    pub(super) fn new(most: Option<u32>) -> Self {
        Self { most, not_before: Instant::now() }
    }

    /// People in a batch, `largest` at most. With a low rate few: none is to wait for seconds, and then come in one go.
    pub(super) fn batch_size(&self, largest: usize) -> usize {
        let quarter = |rate: u32| usize::try_from(rate / 4).unwrap_or(largest).clamp(1, largest);
        self.most.map_or(largest, quarter)
    }

    /// When the next batch may begin.
    pub(super) fn not_before(&self) -> Instant {
        self.not_before
    }

    /// A batch of so many begins.
    pub(super) fn begin(&mut self, people: usize) {
        let people = u32::try_from(people).unwrap_or(u32::MAX);
        let time = self.most.map_or(Duration::ZERO, |rate| Duration::from_secs(people.into()) / rate.max(1));
        self.not_before = self.not_before.max(Instant::now()) + time;
    }
}
