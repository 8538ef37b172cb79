use std::time::{Duration, Instant};

/// Failures one after another, and the pause after them.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// How many they are.
    pub(super) count: u32,
    /// What was wrong, if that is to be said again.
    pub(super) problem: Option<String>,
    until: Option<Instant>,
}

impl Pauses {
    /// One more: the pause is twice as long as the one before, as far as it may be.
    pub(super) fn one_more(&mut self, shortest: Duration, longest: Duration) {
        self.count = self.count.saturating_add(1);
        let pause = shortest.saturating_mul(1 << self.count.min(16)).min(longest);
        self.until = Some(Instant::now() + pause);
    }

    /// What is left of the pause.
    pub(super) fn left(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}
