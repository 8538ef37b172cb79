//! How many data keys there are under a wrapping key.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::IntoCondition,
};

use crate::{
    KekId,
    entity::data_key::{Column, Entity},
};

/// How many data keys are under a wrapping key.
///
/// # Errors
///
/// The database's error.
pub async fn count_under(db: &impl ConnectionTrait, kek_id: &KekId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::KekId.eq(kek_id.as_str())).count(db).await
}

/// How many data keys a wrapping key wraps.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct KekUse {
    /// The wrapping key.
    pub kek_id: String,
    /// Data keys under it.
    pub data_keys: i64,
}

/// The wrapping keys of some data keys, with the number of those under each, the most used first.
///
/// # Errors
///
/// The database's error.
pub async fn count_by_kek(
    db: &impl ConnectionTrait,
    which: impl IntoCondition,
) -> Result<Vec<KekUse>, DbErr> {
    Entity::find()
        .filter(which)
        .select_only()
        .column(Column::KekId)
        .column_as(Column::SubjectId.count(), "data_keys")
        .group_by(Column::KekId)
        .order_by_desc(Column::SubjectId.count())
        .order_by_asc(Column::KekId)
        .into_model()
        .all(db)
        .await
}
