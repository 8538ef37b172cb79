use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::LockType};
use uuid::Uuid;

use crate::{
    DataKeyIdentity, OpenDataKey,
    database::WriteTransaction,
    entity::data_key::{Column, Entity},
    envelope::{
        Attribute, DataKey, DataKeyId, Encrypted, NamedAttribute, Personal, PersonalText, SealError,
        SubjectId,
    },
    store,
};

/// How often the lock is asked for again, if the data keys were replaced by others while it was waited for.
const ATTEMPTS: usize = 5;

/// A subject whose data keys nobody else replaces or destroys, until the transaction ends.
///
/// The lock is that of the subject's rows in `data_keys`. A rotation changes the newest one in place, so a transaction that waited for
/// it finds the new key. Take it first in a transaction, and read the subject's other rows in statements after it: they
/// then show what those who had the lock before have written.
#[derive(Clone, Debug)]
pub struct LockedSubject {
    subject: SubjectId,
    /// The oldest first.
    keys: Vec<(DataKeyId, DataKeyIdentity)>,
}

impl LockedSubject {
    /// Locks a subject against rotation and forgetting, so that values can be sealed. All who lock a subject stand in one queue:
    /// with a lock that those who seal share (`FOR KEY SHARE`), a steady stream of them would keep a forgetting waiting for ever.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn to_seal(transaction: &WriteTransaction, subject: SubjectId) -> Result<Self, DbErr> {
        Self::lock(transaction, subject, LockType::NoKeyUpdate).await
    }

    /// Locks a subject against everybody, so that data keys can be replaced or destroyed.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn to_replace(transaction: &WriteTransaction, subject: SubjectId) -> Result<Self, DbErr> {
        Self::lock(transaction, subject, LockType::Update).await
    }

    async fn lock(transaction: &WriteTransaction, subject: SubjectId, lock: LockType) -> Result<Self, DbErr> {
        for _ in 1..ATTEMPTS {
            let keys = lock_keys(transaction, subject, lock).await?;
            // What is gone was waited for in vain: a release before this one replaced rows by others. A new statement sees them.
            if !keys.is_empty() || store::newest(transaction, subject).await?.is_none() {
                return Ok(Self { subject, keys });
            }
        }
        Ok(Self { subject, keys: lock_keys(transaction, subject, lock).await? })
    }

    /// Whose lock it is.
    #[must_use]
    pub fn subject(&self) -> SubjectId {
        self.subject
    }

    /// The subject's data keys, the oldest first. None, if the subject was forgotten or never had one.
    #[must_use]
    pub fn keys(&self) -> &[(DataKeyId, DataKeyIdentity)] {
        &self.keys
    }

    /// What seals with this key; `None` if it is not the subject's newest one any more. Then open the newest one, outside
    /// of the transaction, and begin again.
    #[must_use]
    pub fn sealer<'k>(&self, key: &'k OpenDataKey) -> Option<Sealer<'k>> {
        let newest = self.keys.last()?;
        (*newest == (key.id(), key.identity())).then(|| Sealer(key.data_key()))
    }
}

/// Seals values for a subject, under the newest data key, while the subject is locked; or for a new subject.
#[derive(Clone, Copy, Debug)]
pub struct Sealer<'k>(&'k DataKey);

impl<'k> Sealer<'k> {
    pub(crate) fn new(key: &'k DataKey) -> Self {
        Self(key)
    }

    /// Seals a value.
    ///
    /// # Errors
    ///
    /// [`SealError`], as for [`DataKey::seal`].
    pub fn seal<A: Attribute>(&self, value: &Personal<A>) -> Result<Encrypted<A>, SealError> {
        self.0.seal(value)
    }

    /// Seals a value of an attribute that has its name from data.
    ///
    /// # Errors
    ///
    /// [`SealError`], as for [`DataKey::seal_named`].
    pub fn seal_named<A: NamedAttribute>(
        &self,
        name: &str,
        value: &PersonalText,
    ) -> Result<Encrypted<A>, SealError> {
        self.0.seal_named(name, value)
    }
}

async fn lock_keys(
    transaction: &WriteTransaction,
    subject: SubjectId,
    lock: LockType,
) -> Result<Vec<(DataKeyId, DataKeyIdentity)>, DbErr> {
    let rows: Vec<(i32, Uuid)> = Entity::find()
        .select_only()
        .column(Column::Version)
        .column(Column::Id)
        .filter(Column::SubjectId.eq(*subject.as_uuid()))
        // In one order, whoever locks them.
        .order_by_asc(Column::Version)
        .lock(lock)
        .into_tuple()
        .all(transaction)
        .await?;
    let parse = |(version, id): (i32, Uuid)| {
        let id_of_key = DataKeyId { subject, version: store::key_version(version)? };
        Ok((id_of_key, DataKeyIdentity::from(id)))
    };
    let mut keys = rows.into_iter().map(parse).collect::<Result<Vec<_>, DbErr>>()?;
    keys.sort_unstable_by_key(|(id, _)| *id);
    Ok(keys)
}
