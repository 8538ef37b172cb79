//! The generation of a database's indexes: a random number, which no rollback of the database repeats.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::SearchError;
use crate::{
    database::WriteTransaction,
    entity::search_head::{Column, Entity},
};

/// Always this.
const ID: i16 = 1;

/// The generation as it is.
pub(super) async fn generation(db: &impl ConnectionTrait) -> Result<Uuid, DbErr> {
    let generation = Entity::find_by_id(ID).select_only().column(Column::Generation);
    generation.into_tuple().one(db).await?.ok_or_else(missing)
}

/// Refuses what was prepared for another generation, and keeps it from changing until the transaction ends. Comes last in a transaction that writes
/// tags, behind the wrapping keys: whoever changes the indexes holds the audit trail's head before this.
pub(super) async fn confirm(transaction: &WriteTransaction, generation: Uuid) -> Result<(), SearchError> {
    let now = Entity::find_by_id(ID).select_only().column(Column::Generation).lock_shared();
    let now: Option<Uuid> = now.into_tuple().one(transaction).await?;
    if now.ok_or_else(missing)? == generation { Ok(()) } else { Err(SearchError::Changed) }
}

/// Begins a new generation, unless another one has begun since this one was read. Comes last in a transaction that changes the indexes: who writes tags
/// and commits after it has seen the change.
pub(super) async fn begin(transaction: &WriteTransaction, after: Uuid) -> Result<(), SearchError> {
    let next = Entity::update_many()
        .col_expr(
            Column::Generation,
            Expr::value(uuid::Builder::from_random_bytes(rand::random()).into_uuid()),
        )
        .filter(Column::Id.eq(ID))
        .filter(Column::Generation.eq(after));
    if next.exec(transaction).await?.rows_affected == 1 { Ok(()) } else { Err(SearchError::Changed) }
}

fn missing() -> DbErr {
    DbErr::RecordNotFound("search_head has no row".to_owned())
}
