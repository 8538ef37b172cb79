use chrono::{DateTime, Utc};
use oubliette_ledger::{self as log, Form};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use super::{
    append::{AppendError, append_all, lock_after},
    content::Content,
    version::EntryVersion,
};
use crate::{
    chain::Head,
    database::{WriteTransaction, now},
    entity::erasure,
    envelope::{DataKeyId, KeyVersion, SubjectId},
    keys::{KeyCommitment, subjects::DestroyedKey},
};

/// The record of one erasure. Pseudonymous: a subject id, and nothing else about the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Who was forgotten.
    pub subject: SubjectId,
    /// When.
    pub erased_at: DateTime<Utc>,
    /// The place in the ledger: 1 for the first, without gaps.
    pub sequence: i64,
    /// SHA-256 over this entry and the previous one's digest.
    pub digest: Vec<u8>,
}

/// The record of a subject's erasure, if there was one.
///
/// # Errors
///
/// The database's error.
pub async fn find(db: &impl ConnectionTrait, subject: SubjectId) -> Result<Option<Erasure>, DbErr> {
    let row =
        erasure::Entity::find().filter(erasure::Column::SubjectId.eq(*subject.as_uuid())).one(db).await?;
    Ok(row.map(|row| Erasure {
        subject,
        erased_at: row.erased_at,
        sequence: row.sequence,
        digest: row.digest,
    }))
}

/// Appends the record of an erasure. Holds the ledger's lock until the transaction ends.
///
/// # Errors
///
/// [`AppendError::Behind`] if the ledger is known to end at least at another place; the database's error.
pub(crate) async fn append(
    transaction: &WriteTransaction,
    subject: SubjectId,
    actor: &str,
    destroyed: &[DestroyedKey],
    at_least: &Head,
) -> Result<Erasure, AppendError> {
    let (from, version) = lock_after(transaction, at_least).await?;
    let form = if version >= EntryVersion::Two { Form::Erasure2 } else { Form::Erasure1 };
    let destroyed_keys = log::DestroyedKey::list(&destroyed.iter().map(told).collect::<Vec<_>>(), form);
    let content = Content {
        form: form.as_str(),
        subject_id: Some(subject.into()),
        target_id: None,
        at: now(),
        actor,
        destroyed_keys: &destroyed_keys,
    };
    let to = append_all(transaction, &from, [content]).await?;
    Ok(Erasure { subject, erased_at: content.at, sequence: to.sequence, digest: to.digest })
}

/// The data keys that an entry says were destroyed; `None` if it says no such thing.
pub(super) fn destroyed(subject: SubjectId, entry: &erasure::Model) -> Option<Vec<DataKeyId>> {
    let keys = entry.destroyed_keys.split("; ").filter(|key| !key.is_empty());
    keys.map(|key| {
        let version: u32 = key.split(' ').next()?.parse().ok()?;
        Some(DataKeyId { subject, version: KeyVersion::from(version) })
    })
    .collect()
}

fn told(DestroyedKey { id, kek_id, fingerprint, commitment }: &DestroyedKey) -> log::DestroyedKey {
    log::DestroyedKey {
        version: id.version.get(),
        kek_id: kek_id.as_str().to_owned(),
        fingerprint: *fingerprint,
        commitment: commitment.as_ref().map(KeyCommitment::as_bytes).copied(),
    }
}
