use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, sea_query::ExprTrait,
};

use super::{IndexKeyId, NewIndexKey, StoredIndexKey};
use crate::{
    KekId, NotStored, WrappedKey,
    database::{WriteTransaction, read_clock},
    entity::index_key::{Column, Entity, Model},
    wrapping_keys,
};

/// All index keys, the oldest epoch first.
///
/// # Errors
///
/// The database's error.
pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<StoredIndexKey>, DbErr> {
    let rows = Entity::find().order_by_asc(Column::Epoch).all(db).await?;
    Ok(rows.into_iter().map(parse).collect())
}

/// How many index keys are under a wrapping key.
///
/// # Errors
///
/// The database's error.
pub async fn count_under(db: &impl ConnectionTrait, kek_id: &KekId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::KekId.eq(kek_id.as_str())).count(db).await
}

/// Stores a new index key, in the caller's transaction. Comes last there, as [`wrapping_keys`] says.
///
/// # Errors
///
/// [`NotStored`]; then the transaction must not be committed.
pub async fn insert(
    transaction: &WriteTransaction,
    new: &NewIndexKey,
    backend: &str,
) -> Result<(), NotStored> {
    let NewIndexKey { id, wrapped } = new;
    let row = Model {
        epoch: id.epoch,
        id: id.identity,
        kek_id: wrapped.kek_id.as_str().to_owned(),
        wrapped: wrapped.bytes.clone(),
        created_at: read_clock(transaction).await?,
        rewrapped_at: None,
    };
    let insert = Entity::insert(row.into_active_model().reset_all());
    insert.exec_without_returning(transaction).await?;
    wrapping_keys::require_active(transaction, &wrapped.kek_id, backend).await
}

/// Destroys the index key of an epoch, in the caller's transaction.
///
/// # Errors
///
/// The database's error.
pub async fn delete(transaction: &WriteTransaction, id: IndexKeyId) -> Result<(), DbErr> {
    let own = Column::Epoch.eq(id.epoch).and(Column::Id.eq(id.identity));
    Entity::delete_many().filter(own).exec(transaction).await.map(drop)
}

pub(super) fn parse(row: Model) -> StoredIndexKey {
    StoredIndexKey {
        id: IndexKeyId { epoch: row.epoch, identity: row.id },
        wrapped: WrappedKey { kek_id: KekId::new(row.kek_id), bytes: row.wrapped },
        created_at: row.created_at,
    }
}
