use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a run did so far. Others may look while it runs.
#[derive(Debug, Default)]
pub struct Tally {
    done: AtomicU64,
    changed: AtomicU64,
    failed: AtomicU64,
    calls: AtomicU64,
    retries: AtomicU64,
}

/// A [`Tally`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Data keys that were dealt with.
    pub done: u64,
    /// Data keys that were forgotten, or changed by somebody else, before this run stored them.
    pub changed: u64,
    /// Data keys that failed.
    pub failed: u64,
    /// Calls to key backends that ended well.
    pub calls: u64,
    /// Calls that failed and were made again.
    pub retries: u64,
}

impl Tally {
    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            done: self.done.load(Relaxed),
            changed: self.changed.load(Relaxed),
            failed: self.failed.load(Relaxed),
            calls: self.calls.load(Relaxed),
            retries: self.retries.load(Relaxed),
        }
    }

    /// Adds what was done elsewhere.
    pub fn add(&self, counts: Counts) {
        self.done.fetch_add(counts.done, Relaxed);
        self.changed.fetch_add(counts.changed, Relaxed);
        self.failed.fetch_add(counts.failed, Relaxed);
        self.calls.fetch_add(counts.calls, Relaxed);
        self.retries.fetch_add(counts.retries, Relaxed);
    }

    pub(super) fn called(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }
}
