//! Appending entries, under the ledger's lock.

use sea_orm::{ActiveModelTrait, DbErr, EntityTrait, IntoActiveModel};

use super::{content::Content, verify::Erasures, version::EntryVersion};
use crate::{
    chain::{self, Chained, Head, Link},
    database::WriteTransaction,
    entity::erasure,
};

/// An entry was not appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    /// The database went back: its ledger lacks entries that are known elsewhere.
    #[error("the database's ledger lacks entries that are known elsewhere")]
    Behind,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// Takes the ledger's lock: where it ends, and in which version entries are written.
///
/// # Errors
///
/// The database's error.
pub(super) async fn lock(transaction: &WriteTransaction) -> Result<(Head, EntryVersion), DbErr> {
    let row = chain::lock_row::<Erasures>(transaction).await?;
    let version = EntryVersion::from(&row);
    Ok((row.into(), version))
}

/// The same where the ledger is known to end at a place, or later.
///
/// # Errors
///
/// [`AppendError::Behind`] if it ends before, or at another place; the database's error.
pub(super) async fn lock_after(
    transaction: &WriteTransaction,
    at_least: &Head,
) -> Result<(Head, EntryVersion), AppendError> {
    let (end, version) = lock(transaction).await?;
    if end.sequence < at_least.sequence
        || (end.sequence == at_least.sequence && end.digest != at_least.digest)
    {
        return Err(AppendError::Behind);
    }
    Ok((end, version))
}

/// Appends entries behind a head that is locked. Gives the new one.
///
/// # Errors
///
/// The database's error.
pub(super) async fn append_all<'a>(
    transaction: &WriteTransaction,
    from: &Head,
    entries: impl IntoIterator<Item = Content<'a>>,
) -> Result<Head, DbErr> {
    let chained = Chained::after(from, entries);
    let to = chained.head();
    let rows: Vec<_> = chained.links().map(|link| row(&link).into_active_model().reset_all()).collect();
    if !rows.is_empty() {
        erasure::Entity::insert_many(rows).exec_without_returning(transaction).await?;
        chain::advance::<Erasures>(transaction, &to).await?;
    }
    Ok(to)
}

pub(super) fn row(link: &Link<'_, &Content<'_>>) -> erasure::Model {
    let Content { form, subject_id, target_id, at, actor, destroyed_keys } = *link.entry;
    erasure::Model {
        sequence: link.sequence,
        form: form.to_owned(),
        subject_id,
        target_id,
        erased_at: at,
        actor: actor.to_owned(),
        destroyed_keys: destroyed_keys.to_owned(),
        previous_digest: link.previous_digest.to_vec(),
        digest: link.digest.to_vec(),
    }
}
