use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How many hits weigh as much as one miss: about what a data key's own statement costs, in data keys that are read for nothing.
const MISS: u32 = 8;

/// From here on, misses are many.
const MANY: u32 = 64;

/// So that some hits are enough to forget even many misses.
const MOST: u32 = 2 * MANY;

/// Whether lately more than about one in nine data keys was not in the cache. A guess, which costs time if it is wrong and nothing else.
#[derive(Debug, Default)]
pub(super) struct RecentMisses(AtomicU32);

impl RecentMisses {
    pub(super) fn count(&self, hit: bool) {
        let weight = self.0.load(Relaxed);
        // Of two at the same time, one may go uncounted.
        self.0.store(if hit { weight.saturating_sub(1) } else { (weight + MISS).min(MOST) }, Relaxed);
    }

    pub(super) fn are_many(&self) -> bool {
        self.0.load(Relaxed) >= MANY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a hundred reads are with keys, if every so manieth key is not in the cache.
    fn of_a_hundred(every: usize) -> usize {
        let misses = RecentMisses::default();
        let read = |index: usize| {
            let many = misses.are_many();
            misses.count(!index.is_multiple_of(every));
            many
        };
        (0..1_000).for_each(|index| {
            read(index);
        });
        (0..100).filter(|index| read(*index)).count()
    }

    #[test]
    fn a_few_misses_are_not_many() {
        assert_eq!(of_a_hundred(100), 0);
        assert_eq!(of_a_hundred(20), 0);
    }

    #[test]
    fn from_one_in_nine_on_they_are() {
        assert_eq!(of_a_hundred(1), 100);
        assert_eq!(of_a_hundred(2), 100);
        assert!(of_a_hundred(5) > 90);
    }

    #[test]
    fn a_server_that_has_just_started_learns_soon_that_keys_are_open() {
        let misses = RecentMisses::default();
        (0..10_000).for_each(|_| misses.count(false));
        assert!(misses.are_many());
        (0..100).for_each(|_| misses.count(true));
        assert!(!misses.are_many());
    }
}
