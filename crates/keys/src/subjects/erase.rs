use sea_orm::DbErr;
use tracing::Instrument;

use super::Registry;
use crate::{
    KekId, KeyCommitment, Keyring,
    database::{WriteTransaction, begin_write, on_the_primary, scrub},
    envelope::{DataKeyId, SubjectId},
    store::{self, StoredKey},
};

/// What was destroyed of a subject.
#[derive(Clone, Debug)]
pub struct Erased {
    /// The subject.
    pub subject: SubjectId,
    /// The data keys, the oldest first.
    pub keys: Vec<DestroyedKey>,
    /// How many rows of registered tables.
    pub rows: u64,
}

/// A data key that was destroyed, for the record. The wrapped key is not in it: its backend could still open that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestroyedKey {
    /// Which data key of the subject.
    pub id: DataKeyId,
    /// The wrapping key that it was under.
    pub kek_id: KekId,
    /// SHA-256 of the wrapped key.
    pub fingerprint: [u8; 32],
    /// What fixes the key itself; `None` if it was not known.
    pub commitment: Option<KeyCommitment>,
}

impl From<(DataKeyId, StoredKey)> for DestroyedKey {
    fn from((id, StoredKey { wrapped, commitment, .. }): (DataKeyId, StoredKey)) -> Self {
        let fingerprint = wrapped.fingerprint();
        Self { id, kek_id: wrapped.kek_id, fingerprint, commitment }
    }
}

impl Erased {
    /// Whether there was nothing to destroy.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.keys.is_empty() && self.rows == 0
    }

    /// Takes the open data keys out of memory, and what was deleted out of SQLite's log. Call after the commit.
    pub async fn wipe_traces(&self, keyring: &Keyring) {
        let ids: Vec<_> = self.keys.iter().map(|key| key.id).collect();
        keyring.evict(self.subject, ids).await;
        scrub(keyring.db()).await;
    }
}

/// Forgets a subject: destroys the data keys and all registered rows in one transaction, and wipes their traces. Runs to its end,
/// also if the caller is dropped meanwhile. To record it, or to delete more in the same transaction: [`erase`].
///
/// # Errors
///
/// [`ForgetError`]; if it is the database's, nothing was destroyed.
pub async fn forget(
    keyring: &Keyring,
    registry: &Registry,
    subject: SubjectId,
) -> Result<Erased, ForgetError> {
    let (keyring, registry) = (keyring.clone(), registry.clone());
    let forget = async move {
        let erased = on_the_primary(keyring.db(), || erase_alone(&keyring, &registry, subject)).await?;
        erased.wipe_traces(&keyring).await;
        Ok(erased)
    };
    tokio::spawn(forget.in_current_span()).await.unwrap_or(Err(ForgetError::Interrupted))
}

async fn erase_alone(keyring: &Keyring, registry: &Registry, subject: SubjectId) -> Result<Erased, DbErr> {
    let transaction = begin_write(keyring.db()).await?;
    let erased = erase(&transaction, registry, subject).await?;
    transaction.commit().await?;
    Ok(erased)
}

/// Why a subject could not be forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetError {
    /// The database failed.
    #[error("the subject's data could not be destroyed")]
    Database(#[from] DbErr),
    /// The program is shutting down, or a bug stopped the forgetting. Forget again.
    #[error("the forgetting was interrupted")]
    Interrupted,
}

/// Destroys a subject's data keys, and all rows that hold values sealed under them, in the caller's transaction. After the
/// commit: [`Erased::wipe_traces`].
///
/// # Errors
///
/// The database's error.
pub async fn erase(
    transaction: &WriteTransaction,
    registry: &Registry,
    subject: SubjectId,
) -> Result<Erased, DbErr> {
    // First: it waits for changes in flight, and the statements after it see what they wrote.
    let keys = destroy_keys(transaction, subject).await?;
    let rows = registry.delete(transaction, subject).await?;
    Ok(Erased { subject, keys: keys.into_iter().map(DestroyedKey::from).collect(), rows })
}

/// Locks a subject as [`LockedSubject::to_replace`](super::LockedSubject::to_replace) does, and destroys the data keys, in one
/// statement.
async fn destroy_keys(
    transaction: &WriteTransaction,
    subject: SubjectId,
) -> Result<Vec<(DataKeyId, StoredKey)>, DbErr> {
    loop {
        let keys = store::destroy(transaction, subject).await?;
        // What is gone was waited for in vain: a release before this one replaced rows by others. A new statement sees them.
        if !keys.is_empty() || store::newest(transaction, subject).await?.is_none() {
            return Ok(keys);
        }
    }
}
