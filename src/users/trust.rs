use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU8, Ordering},
};

use super::{UserError, Users};
use crate::chain::Head;

/// Whether the erasure ledger is trusted: all clones share it.
#[derive(Clone, Debug)]
pub(super) struct Trust(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Who does not trust it, a bit each.
    distrusting: AtomicU8,
    /// It cannot end before this place.
    at_least: Mutex<Head>,
}

/// Who can tell that the erasure ledger is not what it was.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum LedgerWatcher {
    /// Who follows the ledger: it does not go on from where it was read.
    Peers = 1,
    /// Who compares the database with the ledger outside.
    Sinks = 2,
}

impl Users {
    /// Refuses if the erasure ledger is not the newest: it went back, and no operator has adopted it; or it is not at one with the ledger outside. A user who
    /// was forgotten in the entries that are not there would be answered about again.
    ///
    /// # Errors
    ///
    /// [`UserError::LedgerWentBack`].
    pub fn require_trusted_ledger(&self) -> Result<(), UserError> {
        if self.trust.0.distrusting.load(Ordering::Acquire) == 0 {
            Ok(())
        } else {
            Err(UserError::LedgerWentBack)
        }
    }

    /// From now on, nothing personal is answered, or is again as far as this watcher goes. Whether that is new to it.
    #[must_use]
    pub fn trust_ledger(&self, watcher: LedgerWatcher, is_trusted: bool) -> bool {
        let (distrusting, bit) = (&self.trust.0.distrusting, watcher as u8);
        let before = if is_trusted {
            distrusting.fetch_and(!bit, Ordering::AcqRel)
        } else {
            distrusting.fetch_or(bit, Ordering::AcqRel)
        };
        (before & bit != 0) == is_trusted
    }

    /// Whether a watcher trusts it.
    #[must_use]
    pub fn is_ledger_trusted_by(&self, watcher: LedgerWatcher) -> bool {
        self.trust.0.distrusting.load(Ordering::Acquire) & watcher as u8 == 0
    }

    /// The ledger is known to end here, or later: a database in which it ends before takes no new entry.
    pub fn ledger_is_at_least(&self, head: Head) {
        *self.trust.0.at_least.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }

    /// Where the ledger ends, or before that.
    pub(super) fn ledger_at_least(&self) -> Head {
        self.trust.0.at_least.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self(Arc::new(Shared { distrusting: AtomicU8::new(0), at_least: Mutex::new(Head::genesis()) }))
    }
}
