//! The erasure ledger: who was forgotten, when, by whom, and which wrapped keys were destroyed.
//!
//! A hash chain. Each entry's digest is the SHA-256 of seven lines, each ended by a newline:
//!
//! ```text
//! oubliette erasure 1
//! <digest of the previous entry, 64 hexadecimal digits; zeros for the first>
//! <sequence>
//! <subject id>
//! <time, RFC 3339 in UTC with microseconds, such as 2026-11-23T21:05:00.123456Z>
//! <actor>
//! <destroyed keys: version, wrapping key, SHA-256 of the wrapped key; joined by "; ">
//! ```
//!
//! so that anybody can check it with a shell.

use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QuerySelect, QueryTrait, Set,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::LedgerPlace;
use crate::{
    database::{WriteTransaction, now},
    entity::{data_key, erasure, erasure_head, user},
    envelope::{DataKeyId, KeyVersion, SubjectId},
    keys::WrappedKey,
};

/// The digest that the first entry follows.
pub const GENESIS_DIGEST: [u8; 32] = [0; 32];

const HEAD: i16 = 1;

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

pub(super) async fn find(db: &impl ConnectionTrait, subject: SubjectId) -> Result<Option<Erasure>, DbErr> {
    let row =
        erasure::Entity::find().filter(erasure::Column::SubjectId.eq(*subject.as_uuid())).one(db).await?;
    Ok(row.map(Erasure::from))
}

/// Subjects that were erased and have data all the same.
pub(super) async fn returned(db: &impl ConnectionTrait) -> Result<Vec<SubjectId>, DbErr> {
    let users = user::Entity::find().select_only().column(user::Column::Id).into_query();
    let keys = data_key::Entity::find().select_only().column(data_key::Column::SubjectId).into_query();
    let subjects: Vec<Uuid> = erasure::Entity::find()
        .select_only()
        .column(erasure::Column::SubjectId)
        .filter(
            Condition::any()
                .add(erasure::Column::SubjectId.in_subquery(users))
                .add(erasure::Column::SubjectId.in_subquery(keys)),
        )
        .into_tuple()
        .all(db)
        .await?;
    Ok(subjects.into_iter().map(SubjectId::from).collect())
}

/// The place after the newest entry.
pub(super) async fn end(db: &impl ConnectionTrait) -> Result<LedgerPlace, DbErr> {
    let head = erasure_head::Entity::find_by_id(HEAD).one(db).await?.ok_or_else(headless)?;
    Ok(LedgerPlace { sequence: head.sequence, digest: head.digest })
}

/// The data keys that an entry says were destroyed; `None` if it is not what comes after that place.
pub(super) fn check(place: &LedgerPlace, entry: &erasure::Model) -> Option<Vec<DataKeyId>> {
    let follows = entry.sequence == place.sequence + 1
        && entry.previous_digest == place.digest
        && entry.digest == digest(entry);
    if !follows {
        return None;
    }
    let keys = entry.destroyed_keys.split("; ").filter(|key| !key.is_empty());
    keys.map(|key| {
        let version: u32 = key.split(' ').next()?.parse().ok()?;
        Some(DataKeyId { subject: entry.subject_id.into(), version: KeyVersion::from(version) })
    })
    .collect()
}

/// Appends an entry. Holds the ledger's lock until the transaction ends.
pub(super) async fn append(
    transaction: &WriteTransaction,
    subject: SubjectId,
    actor: &str,
    destroyed: &[(DataKeyId, WrappedKey)],
) -> Result<Erasure, DbErr> {
    let head = erasure_head::Entity::find_by_id(HEAD)
        .lock_exclusive()
        .one(transaction)
        .await?
        .ok_or_else(headless)?;
    let mut entry = erasure::Model {
        sequence: head.sequence + 1,
        subject_id: subject.into(),
        erased_at: now(),
        actor: actor.to_owned(),
        destroyed_keys: describe(destroyed),
        previous_digest: head.digest.clone(),
        digest: Vec::new(),
    };
    entry.digest = digest(&entry).to_vec();
    let insert = erasure::Entity::insert(entry.clone().into_active_model().reset_all());
    insert.exec_without_returning(transaction).await?;
    let mut head = head.into_active_model();
    head.sequence = Set(entry.sequence);
    head.digest = Set(entry.digest.clone());
    head.update(transaction).await?;
    Ok(entry.into())
}

fn headless() -> DbErr {
    DbErr::RecordNotFound("the erasure ledger has no head".to_owned())
}

fn digest(entry: &erasure::Model) -> [u8; 32] {
    let text = format!(
        "oubliette erasure 1\n{}\n{}\n{}\n{}\n{}\n{}\n",
        hex::encode(&entry.previous_digest),
        entry.sequence,
        entry.subject_id,
        entry.erased_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        entry.actor,
        entry.destroyed_keys,
    );
    Sha256::digest(text).into()
}

fn describe(destroyed: &[(DataKeyId, WrappedKey)]) -> String {
    let keys = destroyed.iter().map(|(id, wrapped)| {
        format!("{} {} {}", id.version, wrapped.kek_id, hex::encode(wrapped.fingerprint()))
    });
    keys.collect::<Vec<_>>().join("; ")
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The figure comes from `printf '…' | sha256sum`: the format is for others to check.
    #[test]
    fn digest_is_the_documented_one() {
        let entry = erasure::Model {
            sequence: 1,
            subject_id: uuid::uuid!("01890a5d-ac96-774b-bcce-b302099a8057"),
            erased_at: "2026-11-23T21:05:00.120Z".parse().unwrap(),
            actor: "api".to_owned(),
            destroyed_keys: "1 local:a 00ff".to_owned(),
            previous_digest: GENESIS_DIGEST.to_vec(),
            digest: Vec::new(),
        };
        assert_eq!(
            hex::encode(digest(&entry)),
            "a531323f46d1e7da1bfaf32bb9eb7da924cb76b311641bc7f1ee3c48c7f1948c"
        );
    }
}
