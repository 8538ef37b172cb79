//! Revoking many tokens at once: after a restored backup, in which revoked ones are good again.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder,
    sea_query::Expr,
};

use super::tokens::event;
use crate::{
    audit::{self, Action, NewEvent, Origin},
    database::{Before, begin_write, now, on_the_primary},
    entity::access_token::{Column, Entity, Model},
};

/// The tokens that were made before a moment and are not revoked, the newest last.
///
/// # Errors
///
/// The database's error.
pub async fn made_before(db: &impl ConnectionTrait, before: &Before) -> Result<Vec<Model>, DbErr> {
    let made_before = before.holds(Expr::col(Column::CreatedAt));
    Entity::find()
        .filter(Column::RevokedAt.is_null())
        .filter(made_before)
        .order_by_asc(Column::Id)
        .all(db)
        .await
}

/// Ends all of those, and leaves an event for each in the audit trail. `found` are those that [`made_before`] found: one that claims to be
/// made later than now may be among them. Gives them.
///
/// # Errors
///
/// The database's error; then none is revoked.
pub async fn revoke_made_before(
    db: &DatabaseConnection,
    before: &Before,
    found: &[Model],
    origin: &Origin,
) -> Result<Vec<Model>, DbErr> {
    on_the_primary(db, || try_revoke(db, before, found, origin)).await
}

async fn try_revoke(
    db: &DatabaseConnection,
    before: &Before,
    found: &[Model],
    origin: &Origin,
) -> Result<Vec<Model>, DbErr> {
    let transaction = begin_write(db).await?;
    let which = Condition::any()
        .add(Column::CreatedAt.lt(before.moment()))
        .add(Column::Id.is_in(found.iter().map(|token| token.id)));
    let revoke = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now()))
        .filter(Column::RevokedAt.is_null())
        .filter(which);
    let rows = revoke.exec_with_returning(&transaction).await?;
    let events: Vec<NewEvent> = rows.iter().map(|row| event(origin, Action::TokenRevoke, row)).collect();
    if !events.is_empty() {
        audit::append(&transaction, &events).await?;
    }
    transaction.commit().await?;
    Ok(rows)
}
