use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};

use super::{StoredIndexKey, store::parse};
use crate::{
    NotStored, WrappedKey,
    database::{begin_write, clock},
    entity::index_key::{Column, Entity},
    wrapping_keys,
};

/// How many index keys fulfil a condition.
pub(crate) async fn remaining(db: &impl ConnectionTrait, which: Condition) -> Result<u64, DbErr> {
    Entity::find().filter(which).count(db).await
}

/// When an index key came under its wrapping key.
pub(crate) fn wrapped_at() -> Expr {
    Expr::col(Column::RewrappedAt).if_null(Expr::col(Column::CreatedAt))
}

/// How many of the index keys that fulfil a condition each wrapping key wraps.
pub(crate) async fn count_by_kek(
    db: &impl ConnectionTrait,
    which: Condition,
) -> Result<BTreeMap<String, u64>, DbErr> {
    let kek_ids: Vec<String> =
        Entity::find().select_only().column(Column::KekId).filter(which).into_tuple().all(db).await?;
    let mut counts = BTreeMap::new();
    for kek_id in kek_ids {
        *counts.entry(kek_id).or_default() += 1;
    }
    Ok(counts)
}

/// The index keys that fulfil a condition, the oldest epoch first.
pub(crate) async fn find(db: &impl ConnectionTrait, which: Condition) -> Result<Vec<StoredIndexKey>, DbErr> {
    let rows = Entity::find().filter(which).order_by_asc(Column::Epoch).all(db).await?;
    Ok(rows.into_iter().map(parse).collect())
}

/// Stores a new wrapping, unless the key was destroyed or moved meanwhile.
pub(crate) async fn replace(
    db: &DatabaseConnection,
    old: &StoredIndexKey,
    new: &WrappedKey,
    backend: &str,
) -> Result<(), NotStored> {
    let transaction = begin_write(db).await?;
    let values = [
        (Column::KekId, Expr::value(new.kek_id.as_str())),
        (Column::Wrapped, Expr::value(new.bytes.clone())),
        (Column::RewrappedAt, clock(db.get_database_backend())),
    ];
    let mut update = Entity::update_many()
        .filter(Column::Id.eq(old.id.identity).and(Column::Wrapped.eq(old.wrapped.bytes.clone())));
    for (column, value) in values {
        update = update.col_expr(column, value);
    }
    update.exec(&transaction).await?;
    if let Err(refused) = wrapping_keys::require_active(&transaction, &new.kek_id, backend).await {
        transaction.rollback().await?;
        return Err(refused);
    }
    Ok(transaction.commit().await?)
}
