use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::OpenDataKey;
use crate::config::CacheConfig;

/// The longest part of its time to live by which one key's life is shorter than another's.
const JITTER: f64 = 0.1;

/// Never refreshed.
const NEVER: u64 = u64::MAX;

/// Where the cache holds one open key. It can be emptied although somebody still holds the slot: moka frees
/// what it evicts when it finds the time.
#[derive(Debug)]
pub(super) struct Slot {
    key: Mutex<Option<Arc<OpenDataKey>>>,
    filled_at: Instant,
    lifetime: Duration,
    /// In milliseconds after `filled_at`.
    refresh_at: AtomicU64,
    /// In milliseconds: when a refresh that did not replace the slot is tried again.
    refresh_again: u64,
}

impl Slot {
    /// A slot with this key, and with a life of its own.
    pub(super) fn new(key: Arc<OpenDataKey>, config: &CacheConfig) -> Self {
        let lifetime = config.time_to_live.mul_f64(1.0 - JITTER * rand::random::<f64>());
        let refresh_at = if config.refresh_ahead.is_zero() {
            NEVER
        } else {
            milliseconds(lifetime.saturating_sub(config.refresh_ahead))
        };
        Self {
            key: Mutex::new(Some(key)),
            filled_at: Instant::now(),
            lifetime,
            refresh_at: AtomicU64::new(refresh_at),
            refresh_again: milliseconds(config.refresh_ahead) / 4 + 1,
        }
    }

    /// The key, unless the slot was emptied.
    pub(super) fn key(&self) -> Option<Arc<OpenDataKey>> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wipes the key, unless somebody still uses it; then, it is wiped when they are done.
    pub(super) fn empty(&self) {
        self.key.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// How long the key may stay here.
    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Whether it is time to load the key again; says so to one caller only, and if that one fails, later to
    /// another.
    pub(super) fn claim_refresh(&self) -> bool {
        let refresh_at = self.refresh_at.load(Relaxed);
        if refresh_at == NEVER {
            return false;
        }
        let age = milliseconds(self.filled_at.elapsed());
        age >= refresh_at
            && self
                .refresh_at
                .compare_exchange(refresh_at, age.saturating_add(self.refresh_again), Relaxed, Relaxed)
                .is_ok()
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}
