//! Times of data keys that a clock which was ahead has written.

use sea_orm::{
    Condition, DatabaseConnection, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};

use crate::{
    database::{Before, begin_write},
    entity::data_key::{Column, Entity},
};

/// Gives data keys that claim to be made later than now a time just before a moment, so that they are found by it from now on.
///
/// # Errors
///
/// The database's error.
pub async fn settle_made_ahead(
    db: &DatabaseConnection,
    which: Condition,
    before: &Before,
) -> Result<(), DbErr> {
    settle_ahead(db, which, Column::CreatedAt, Expr::col(Column::CreatedAt), before).await
}

/// The same for data keys that claim to be wrapped later than now.
///
/// # Errors
///
/// The database's error.
pub async fn settle_wrapped_ahead(db: &DatabaseConnection, before: &Before) -> Result<(), DbErr> {
    settle_ahead(db, Condition::all(), Column::RewrappedAt, wrapped_at(), before).await
}

async fn settle_ahead(
    db: &DatabaseConnection,
    which: Condition,
    column: Column,
    time: Expr,
    before: &Before,
) -> Result<(), DbErr> {
    let transaction = begin_write(db).await?;
    let settle = Entity::update_many().col_expr(column, Expr::value(before.just_before()));
    settle.filter(which).filter(before.is_ahead(time)).exec(&transaction).await?;
    transaction.commit().await
}

/// When a data key came under its wrapping key.
#[must_use]
pub fn wrapped_at() -> Expr {
    Expr::col(Column::RewrappedAt).if_null(Expr::col(Column::CreatedAt))
}
