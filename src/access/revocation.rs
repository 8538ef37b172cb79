//! Revoking many tokens at once: after a restored backup, in which revoked ones are good again.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, QueryFilter,
    QueryOrder, sea_query::Expr,
};

use super::tokens::event;
use crate::{
    audit::{self, Action, NewEvent, Origin},
    database::{begin_write, is_before, now, on_the_primary},
    entity::access_token::{Column, Entity, Model},
};

/// The tokens that were made before a moment and are not revoked, the newest last.
///
/// # Errors
///
/// The database's error.
pub async fn made_before(db: &impl ConnectionTrait, moment: DateTime<Utc>) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(unrevoked(db.get_database_backend(), moment)).order_by_asc(Column::Id).all(db).await
}

/// Ends all of those, and leaves an event for each in the audit trail. Gives them.
///
/// # Errors
///
/// The database's error; then none is revoked.
pub async fn revoke_made_before(
    db: &DatabaseConnection,
    moment: DateTime<Utc>,
    origin: &Origin,
) -> Result<Vec<Model>, DbErr> {
    on_the_primary(db, || try_revoke(db, moment, origin)).await
}

async fn try_revoke(
    db: &DatabaseConnection,
    moment: DateTime<Utc>,
    origin: &Origin,
) -> Result<Vec<Model>, DbErr> {
    let transaction = begin_write(db).await?;
    let unrevoked = unrevoked(transaction.get_database_backend(), moment);
    let revoke = Entity::update_many().col_expr(Column::RevokedAt, Expr::value(now())).filter(unrevoked);
    let rows = revoke.exec_with_returning(&transaction).await?;
    let events: Vec<NewEvent> = rows.iter().map(|row| event(origin, Action::TokenRevoke, row)).collect();
    if !events.is_empty() {
        audit::append(&transaction, &events).await?;
    }
    transaction.commit().await?;
    Ok(rows)
}

fn unrevoked(backend: DbBackend, moment: DateTime<Utc>) -> Condition {
    let made_at = Expr::col(Column::CreatedAt);
    Condition::all().add(Column::RevokedAt.is_null()).add(is_before(backend, made_at, moment))
}
