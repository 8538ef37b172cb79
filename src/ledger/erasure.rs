use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
};

use super::{content::Content, verify::Erasures};
use crate::{
    chain::{self, Chained, Head, Link},
    database::{WriteTransaction, now},
    entity::erasure,
    envelope::{DataKeyId, KeyVersion, SubjectId},
    keys::subjects::DestroyedKey,
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
    Ok(row.map(Erasure::from))
}

/// Appends an entry. Holds the ledger's lock until the transaction ends.
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
    let from = chain::lock::<Erasures>(transaction).await?;
    if from.sequence < at_least.sequence
        || (from.sequence == at_least.sequence && from.digest != at_least.digest)
    {
        return Err(AppendError::Behind);
    }
    let content =
        Content { subject_id: subject.into(), erased_at: now(), actor, destroyed_keys: &describe(destroyed) };
    let chained = Chained::after(&from, [content]);
    let to = chained.head();
    let rows = chained.links().map(|link| row(&link).into_active_model().reset_all());
    erasure::Entity::insert_many(rows).exec_without_returning(transaction).await?;
    chain::advance::<Erasures>(transaction, &to).await?;
    Ok(Erasure { subject, erased_at: content.erased_at, sequence: to.sequence, digest: to.digest })
}

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

/// The data keys that an entry says were destroyed; `None` if it says no such thing.
pub(super) fn destroyed(entry: &erasure::Model) -> Option<Vec<DataKeyId>> {
    let keys = entry.destroyed_keys.split("; ").filter(|key| !key.is_empty());
    keys.map(|key| {
        let version: u32 = key.split(' ').next()?.parse().ok()?;
        Some(DataKeyId { subject: entry.subject_id.into(), version: KeyVersion::from(version) })
    })
    .collect()
}

fn describe(destroyed: &[DestroyedKey]) -> String {
    let keys = destroyed.iter().map(|DestroyedKey { id, kek_id, fingerprint }| {
        format!("{} {kek_id} {}", id.version, hex::encode(fingerprint))
    });
    keys.collect::<Vec<_>>().join("; ")
}

pub(super) fn row(link: &Link<'_, &Content<'_>>) -> erasure::Model {
    erasure::Model {
        sequence: link.sequence,
        subject_id: link.entry.subject_id,
        erased_at: link.entry.erased_at,
        actor: link.entry.actor.to_owned(),
        destroyed_keys: link.entry.destroyed_keys.to_owned(),
        previous_digest: link.previous_digest.to_vec(),
        digest: link.digest.to_vec(),
    }
}

impl From<erasure::Model> for Erasure {
    fn from(row: erasure::Model) -> Self {
        Self {
            subject: row.subject_id.into(),
            erased_at: row.erased_at,
            sequence: row.sequence,
            digest: row.digest,
        }
    }
}
