use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{UserError, Users};

/// Whether the erasure ledger is trusted: all clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    went_back: Arc<AtomicBool>,
}

impl Users {
    /// Refuses if the erasure ledger went back, and no operator has adopted it. A user who was forgotten in the entries that are gone
    /// would be answered about again.
    ///
    /// # Errors
    ///
    /// [`UserError::LedgerWentBack`].
    pub fn require_trusted_ledger(&self) -> Result<(), UserError> {
        if self.trust.went_back.load(Ordering::Acquire) { Err(UserError::LedgerWentBack) } else { Ok(()) }
    }

    /// From now on, nothing personal is answered, or is again. Whether that changed.
    #[must_use]
    pub fn trust_ledger(&self, is_trusted: bool) -> bool {
        self.trust.went_back.swap(!is_trusted, Ordering::AcqRel) == is_trusted
    }
}
