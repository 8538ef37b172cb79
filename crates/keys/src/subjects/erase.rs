use sea_orm::DbErr;

use super::{LockedSubject, Registry};
use crate::{
    WrappedKey,
    database::WriteTransaction,
    envelope::{DataKeyId, SubjectId},
    store,
};

/// What was destroyed of a subject.
#[derive(Clone, Debug)]
pub struct Erased {
    /// The subject.
    pub subject: SubjectId,
    /// The data keys, the oldest first.
    pub keys: Vec<(DataKeyId, WrappedKey)>,
    /// How many rows of registered tables.
    pub rows: u64,
}

impl Erased {
    /// Whether there was nothing to destroy.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.keys.is_empty() && self.rows == 0
    }
}

/// Destroys a subject's data keys, and all rows that hold values sealed under them, in the caller's transaction. After the
/// commit, [`Keyring::evict`](crate::Keyring::evict) takes the open keys out of memory, and
/// [`scrub`](crate::database::scrub) what SQLite keeps in its log.
///
/// # Errors
///
/// The database's error.
pub async fn erase(
    transaction: &WriteTransaction,
    registry: &Registry,
    subject: SubjectId,
) -> Result<Erased, DbErr> {
    // The lock waits for changes in flight; the statements after it see what they wrote.
    LockedSubject::to_replace(transaction, subject).await?;
    let rows = registry.delete(transaction, subject).await?;
    let keys = store::destroy(transaction, subject).await?;
    Ok(Erased { subject, keys, rows })
}
