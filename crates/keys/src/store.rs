//! The table `data_keys`: every subject's wrapped data keys.
//!
//! A subject's rows are the subject's lock: see [`LockedSubject`]. A data key is added only when the subject is new; a
//! rotation changes the newest row in place.

mod counts;
mod settle;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait,
    Iterable, NotSet, QueryFilter, QueryOrder, QueryResult, QuerySelect, RuntimeErr, Select, Set, Unchanged,
    sea_query::{Expr, ExprTrait, Query},
};
use uuid::Uuid;

pub use self::{
    counts::{KekUse, count_by_kek, count_under},
    settle::{settle_made_ahead, settle_wrapped_ahead, wrapped_at},
};
use super::{
    DataKeyIdentity, KekId, KeyCommitment, NotStored, WrappedKey, subjects::LockedSubject, wrapping_keys,
};
use crate::{
    database::{
        Together, WriteTransaction, begin_write, clock, insert_together, on_the_primary, one_of, read_clock,
    },
    entity::data_key::{ActiveModel, Column, Entity, Model},
    envelope::{DataKeyId, KeyVersion, SubjectId},
};

/// The columns of a [`StoredKey`] and its version.
const STORED: [Column; 5] = [Column::Version, Column::KekId, Column::Wrapped, Column::Id, Column::Commitment];

/// A row of these columns, after its subject.
type StoredRow = (Uuid, i32, String, Vec<u8>, Uuid, Option<Vec<u8>>);

/// A data key in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Which one.
    pub identity: DataKeyIdentity,
    /// What its backend opens.
    pub wrapped: WrappedKey,
    /// What fixes the key; `None` if a release before this one stored it, and nobody has opened it since.
    pub commitment: Option<KeyCommitment>,
}

/// What a transaction that stores a data key has still to ask before it is committed.
#[derive(Debug)]
#[must_use = "a data key may come under an active wrapping key only"]
pub struct Unconfirmed(BTreeSet<KekId>);

impl Unconfirmed {
    /// Asks whether each wrapping key is active, and locks it. Comes last in the transaction: see
    /// [`wrapping_keys`].
    ///
    /// # Errors
    ///
    /// [`NotStored`]; then the transaction must not be committed.
    pub async fn confirm(self, transaction: &WriteTransaction, backend: &str) -> Result<(), NotStored> {
        // In one order, whoever locks them.
        for kek_id in &self.0 {
            wrapping_keys::require_active(transaction, kek_id, backend).await?;
        }
        Ok(())
    }
}

/// Stores a subject's new data key, in the caller's transaction, which ends with [`Unconfirmed::confirm`].
///
/// # Errors
///
/// The database's error; also if the subject already has a key of this version.
pub async fn insert(
    transaction: &WriteTransaction,
    id: DataKeyId,
    StoredKey { identity, wrapped, commitment }: StoredKey,
) -> Result<Unconfirmed, DbErr> {
    let unconfirmed = Unconfirmed([wrapped.kek_id.clone()].into());
    let row = ActiveModel {
        subject_id: Set(id.subject.into()),
        ..fresh(id.version, identity, wrapped, commitment)?
    };
    // SeaORM inserts values only, and the time is the database's.
    let backend = transaction.get_database_backend();
    let mut insert = Query::insert();
    insert.into_table(Entity).columns(Column::iter());
    let values = Column::iter().map(|column| value(&row, column, backend));
    insert.values(values).map_err(|error| DbErr::Query(RuntimeErr::Internal(error.to_string())))?;
    transaction.execute(&insert).await?;
    Ok(unconfirmed)
}

/// Stores the new data keys of several subjects, in the caller's transaction, which ends with [`Unconfirmed::confirm`].
///
/// # Errors
///
/// The database's error; also if a subject already has a key of this version.
pub async fn insert_many(
    transaction: &WriteTransaction,
    keys: impl IntoIterator<Item = (DataKeyId, &StoredKey)>,
) -> Result<Unconfirmed, DbErr> {
    let created_at = read_clock(transaction).await?;
    let mut kek_ids = BTreeSet::new();
    let row = |(id, StoredKey { identity, wrapped, commitment }): (DataKeyId, &StoredKey)| {
        kek_ids.insert(wrapped.kek_id.clone());
        Ok(Model {
            subject_id: id.subject.into(),
            version: version_column(id.version)?,
            kek_id: wrapped.kek_id.as_str().to_owned(),
            wrapped: wrapped.bytes.clone(),
            created_at,
            rewrapped_at: None,
            id: (*identity).into(),
            commitment: commitment.map(KeyCommitment::into_column),
        })
    };
    let rows = keys.into_iter().map(row).collect::<Result<Vec<_>, DbErr>>()?;
    insert_together(transaction, &rows).await?;
    Ok(Unconfirmed(kek_ids))
}

/// Puts a fresh data key into the place of a subject's newest one, and deletes the others, in the caller's transaction, which
/// ends with [`Unconfirmed::confirm`]. The row stays, so that those who wait for the subject's lock find it.
///
/// # Errors
///
/// The database's error; also if the subject has no data key.
pub async fn replace(
    transaction: &WriteTransaction,
    locked: &LockedSubject,
    version: KeyVersion,
    StoredKey { identity, wrapped, commitment }: StoredKey,
) -> Result<Unconfirmed, DbErr> {
    let unconfirmed = Unconfirmed([wrapped.kek_id.clone()].into());
    let Some(((newest, _), older)) = locked.keys().split_last() else { return Err(DbErr::RecordNotUpdated) };
    let own = || Column::SubjectId.eq(*locked.subject().as_uuid());
    if !older.is_empty() {
        let older = own().and(Column::Version.lt(version_column(newest.version)?));
        Entity::delete_many().filter(older).exec(transaction).await?;
    }
    let row = fresh(version, identity, wrapped, commitment)?;
    let backend = transaction.get_database_backend();
    let mut update = Query::update();
    update.table(Entity).cond_where(own().and(Column::Version.eq(version_column(newest.version)?)));
    for column in Column::iter().filter(|column| !matches!(column, Column::SubjectId)) {
        update.value(column, value(&row, column, backend));
    }
    if transaction.execute(&update).await?.rows_affected() == 1 {
        Ok(unconfirmed)
    } else {
        Err(DbErr::RecordNotUpdated)
    }
}

/// A row without its subject; made when it is stored.
fn fresh(
    version: KeyVersion,
    identity: DataKeyIdentity,
    wrapped: WrappedKey,
    commitment: Option<KeyCommitment>,
) -> Result<ActiveModel, DbErr> {
    Ok(ActiveModel {
        subject_id: NotSet,
        version: Set(version_column(version)?),
        kek_id: Set(wrapped.kek_id.as_str().to_owned()),
        wrapped: Set(wrapped.bytes),
        created_at: NotSet,
        rewrapped_at: Set(None),
        id: Set(identity.into()),
        commitment: Set(commitment.map(KeyCommitment::into_column)),
    })
}

/// A column's value within a statement: that of the row, or the database's time.
fn value(row: &ActiveModel, column: Column, backend: DbBackend) -> Expr {
    match row.get(column) {
        Set(value) | Unchanged(value) => Expr::value(value),
        NotSet => clock(backend),
    }
}

/// The data keys of these ids, in one statement. Those that do not exist are left out.
///
/// # Errors
///
/// The database's error.
pub async fn find(
    db: &impl ConnectionTrait,
    ids: &[DataKeyId],
) -> Result<HashMap<DataKeyId, StoredKey>, DbErr> {
    let subjects = ids.iter().map(|id| *id.subject.as_uuid()).collect();
    let of_subjects = one_of(db.get_database_backend(), Column::SubjectId, subjects);
    let rows: Vec<StoredRow> = Entity::find()
        .select_only()
        .column(Column::SubjectId)
        .columns(STORED)
        .filter(of_subjects)
        .into_tuple()
        .all(db)
        .await?;
    let found = rows.into_iter().map(|(subject, version, kek_id, wrapped, identity, commitment)| {
        let id = DataKeyId { subject: subject.into(), version: key_version(version)? };
        Ok((id, stored(kek_id, wrapped, identity, commitment)))
    });
    found.collect()
}

/// Adds the columns of the subjects' data keys to a statement.
pub(crate) fn join<E: EntityTrait>(select: Select<E>, subject: impl ColumnTrait) -> Select<E> {
    let mut select = select.columns(STORED);
    let of_the_subject = Expr::col(Column::SubjectId.as_column_ref()).equals(subject.as_column_ref());
    QuerySelect::query(&mut select).left_join(Entity, of_the_subject);
    select
}

/// The data key that a row of such a statement holds behind its own columns, of which there are `own`. Nothing if there is none, or
/// none that can be read.
pub(crate) fn joined(row: &QueryResult, own: usize, subject: SubjectId) -> Option<(DataKeyId, StoredKey)> {
    let version = row.try_get_by_index::<Option<i32>>(own).ok()??;
    let id = DataKeyId { subject, version: key_version(version).ok()? };
    let [kek_id, wrapped, identity, commitment] = [own + 1, own + 2, own + 3, own + 4];
    let kek_id = row.try_get_by_index(kek_id).ok()?;
    let wrapped = row.try_get_by_index(wrapped).ok()?;
    let identity = row.try_get_by_index(identity).ok()?;
    Some((id, stored(kek_id, wrapped, identity, row.try_get_by_index(commitment).ok()?)))
}

/// The same for ids that many ask for at the same time, one each.
#[must_use]
pub fn together(db: DatabaseConnection) -> Together<DataKeyId, StoredKey> {
    Together::new(move |ids| {
        let db = db.clone();
        Box::pin(async move { Ok(find(&db, &ids).await?.into_iter().collect()) })
    })
}

/// A subject's data keys, each with the time when it was made.
///
/// # Errors
///
/// The database's error.
pub(crate) async fn all_of(
    db: &impl ConnectionTrait,
    subject: SubjectId,
) -> Result<Vec<(DataKeyId, StoredKey, DateTime<Utc>)>, DbErr> {
    let rows = Entity::find().filter(Column::SubjectId.eq(*subject.as_uuid())).all(db).await?;
    let stored = rows.into_iter().map(|row| {
        let created_at = row.created_at;
        read(row).map(|(id, stored)| (id, stored, created_at))
    });
    let mut stored = stored.collect::<Result<Vec<_>, _>>()?;
    stored.sort_by_key(|(id, ..)| *id);
    Ok(stored)
}

/// The ids of all data keys of these subjects.
///
/// # Errors
///
/// The database's error.
pub async fn ids_of(db: &impl ConnectionTrait, subjects: &[SubjectId]) -> Result<Vec<DataKeyId>, DbErr> {
    let rows: Vec<(Uuid, i32)> = Entity::find()
        .select_only()
        .column(Column::SubjectId)
        .column(Column::Version)
        .filter(Column::SubjectId.is_in(subjects.iter().map(|subject| *subject.as_uuid())))
        .into_tuple()
        .all(db)
        .await?;
    rows.into_iter()
        .map(|(subject, version)| Ok(DataKeyId { subject: subject.into(), version: key_version(version)? }))
        .collect()
}

/// The version and the identity of the subject's newest data key, if it has one.
///
/// # Errors
///
/// The database's error.
pub async fn newest(
    db: &impl ConnectionTrait,
    subject: SubjectId,
) -> Result<Option<(KeyVersion, DataKeyIdentity)>, DbErr> {
    let newest: Option<(i32, Uuid)> = Entity::find()
        .select_only()
        .column(Column::Version)
        .column(Column::Id)
        .filter(Column::SubjectId.eq(*subject.as_uuid()))
        .order_by_desc(Column::Version)
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    newest.map(|(version, identity)| Ok((key_version(version)?, identity.into()))).transpose()
}

/// The subject's newest data key, if there is one.
///
/// # Errors
///
/// The database's error.
pub(crate) async fn newest_stored(
    db: &impl ConnectionTrait,
    subject: SubjectId,
) -> Result<Option<(DataKeyId, StoredKey)>, DbErr> {
    let of = Entity::find().filter(Column::SubjectId.eq(*subject.as_uuid()));
    let newest = of.order_by_desc(Column::Version).limit(1).one(db).await?;
    newest.map(read).transpose()
}

/// Destroys all data keys of a subject, in the caller's transaction, and says which they were.
///
/// # Errors
///
/// The database's error.
pub async fn destroy(
    db: &impl ConnectionTrait,
    subject: SubjectId,
) -> Result<Vec<(DataKeyId, StoredKey)>, DbErr> {
    let rows = Entity::delete_many()
        .filter(Column::SubjectId.eq(*subject.as_uuid()))
        .exec_with_returning(db)
        .await?;
    let mut destroyed = rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    destroyed.sort_by_key(|(id, _)| *id);
    Ok(destroyed)
}

/// Stores the commitments of data keys that have none.
///
/// # Errors
///
/// The database's error; then none of them is stored.
pub(crate) async fn commit(
    db: &DatabaseConnection,
    commitments: &BTreeMap<DataKeyId, (DataKeyIdentity, KeyCommitment)>,
) -> Result<(), DbErr> {
    on_the_primary(db, || async {
        let transaction = begin_write(db).await?;
        // In one order, whoever locks them.
        for (identity, commitment) in commitments.values() {
            Entity::update_many()
                .col_expr(Column::Commitment, Expr::value(commitment.into_column()))
                .filter(Column::Id.eq(Uuid::from(*identity)))
                .filter(Column::Commitment.is_null())
                .exec(&transaction)
                .await?;
        }
        transaction.commit().await
    })
    .await
}

fn stored(kek_id: String, bytes: Vec<u8>, identity: Uuid, commitment: Option<Vec<u8>>) -> StoredKey {
    StoredKey {
        identity: identity.into(),
        wrapped: WrappedKey { kek_id: KekId::new(kek_id), bytes },
        commitment: KeyCommitment::from_column(commitment),
    }
}

fn read(row: Model) -> Result<(DataKeyId, StoredKey), DbErr> {
    let id = DataKeyId { subject: row.subject_id.into(), version: key_version(row.version)? };
    Ok((id, stored(row.kek_id, row.wrapped, row.id, row.commitment)))
}

pub(crate) fn parse(row: Model) -> Result<(DataKeyId, WrappedKey), DbErr> {
    let id = DataKeyId { subject: row.subject_id.into(), version: key_version(row.version)? };
    Ok((id, WrappedKey { kek_id: KekId::new(row.kek_id), bytes: row.wrapped }))
}

pub(crate) fn key_version(column: i32) -> Result<KeyVersion, DbErr> {
    let version =
        u32::try_from(column).map_err(|_| DbErr::Type("data_keys.version is negative".to_owned()))?;
    Ok(version.into())
}

pub(super) fn version_column(version: KeyVersion) -> Result<i32, DbErr> {
    i32::try_from(version.get()).map_err(|_| DbErr::Type("the data key's version is too large".to_owned()))
}
