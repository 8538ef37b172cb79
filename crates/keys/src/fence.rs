use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::envelope::SubjectId;

const STRIPES: usize = 256;

/// Keeps a key that was being unwrapped while its subject was forgotten out of the cache.
///
/// A task that loads a key takes a [`Ticket`] before reading the wrapped key, puts the open key into the
/// cache, and then asks whether the ticket still stands; if not, it takes the key out again. A task that
/// forgets destroys the wrapped key, advances the fence, and only then evicts. In every order of these
/// steps the key ends up outside: either the loader sees the advanced fence, or the eviction comes after
/// the insertion.
///
/// Striped by subject, so its memory is fixed. Two subjects may share a stripe; then a load is merely
/// not cached.
#[derive(Debug)]
pub(super) struct Fence {
    stripes: Box<[AtomicU64]>,
}

/// Where the fence stood when a load began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    stripe: usize,
    position: u64,
}

impl Fence {
    /// A fence that nothing has passed yet.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { stripes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Begins a load. Take it before the wrapped key is read.
    #[must_use]
    pub(super) fn ticket(&self, subject: SubjectId) -> Ticket {
        let stripe = stripe(subject);
        Ticket { stripe, position: self.stripes[stripe].load(SeqCst) }
    }

    /// Whether nobody of the ticket's stripe was forgotten since.
    #[must_use]
    pub(super) fn stands(&self, ticket: Ticket) -> bool {
        self.stripes[ticket.stripe].load(SeqCst) == ticket.position
    }

    /// Invalidates all tickets of the subject. Call after the wrapped key is gone, before evicting.
    pub(super) fn advance(&self, subject: SubjectId) {
        self.stripes[stripe(subject)].fetch_add(1, SeqCst);
    }

    /// Invalidates all tickets of all subjects.
    pub(super) fn advance_all(&self) {
        for stripe in &self.stripes {
            stripe.fetch_add(1, SeqCst);
        }
    }
}

impl Default for Fence {
    fn default() -> Self {
        Self::new()
    }
}

/// The last byte of a version 7 UUID is random.
fn stripe(subject: SubjectId) -> usize {
    usize::from(subject.as_uuid().as_bytes()[15]) % STRIPES
}
