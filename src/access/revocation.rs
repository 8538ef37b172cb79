//! Revoking many tokens at once; and again, if they are good again: after a restored backup.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait, IntoCondition, SimpleExpr},
};

use uuid::Uuid;

use super::tokens::event;
use crate::{
    audit::{self, Action, NewEvent, Origin},
    database::{Before, WriteTransaction, begin_write, now, on_the_primary},
    entity::{
        access_token::{Column, Entity, Model},
        erasure,
    },
    ledger,
};

/// Tokens of one statement.
const TOGETHER: usize = 500;

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
    let rows = revoke(&transaction, which).await?;
    if !rows.is_empty() {
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        ledger::append_revocations(&transaction, &ids, origin.actor()).await?;
        record(&transaction, &rows, origin).await?;
    }
    transaction.commit().await?;
    Ok(rows)
}

/// Ends those of these tokens that are good. Gives them.
async fn revoke(transaction: &WriteTransaction, which: impl IntoCondition) -> Result<Vec<Model>, DbErr> {
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now()))
        .filter(Column::RevokedAt.is_null())
        .filter(which.into_condition())
        .exec_with_returning(transaction)
        .await
}

/// In the audit trail: after the ledger, where both tell of it.
async fn record(transaction: &WriteTransaction, rows: &[Model], origin: &Origin) -> Result<(), DbErr> {
    let events: Vec<NewEvent> = rows.iter().map(|row| event(origin, Action::TokenRevoke, row)).collect();
    audit::append(transaction, &events).await
}

/// Revokes those of these tokens again that are good: the erasure ledger outside the database says that they were revoked. Gives their
/// number.
///
/// # Errors
///
/// The database's error.
pub async fn revoke_again(db: &DatabaseConnection, tokens: &[Uuid], origin: &Origin) -> Result<usize, DbErr> {
    let mut revoked = 0;
    for together in tokens.chunks(TOGETHER) {
        let which = Column::Id.is_in(together.iter().copied());
        revoked += on_the_primary(db, || try_revoke_again(db, which.clone(), origin)).await?;
    }
    Ok(revoked)
}

/// The same for all tokens that are good and that the database's own ledger says were revoked.
///
/// # Errors
///
/// The database's error.
pub async fn revoke_the_returned(db: &DatabaseConnection, origin: &Origin) -> Result<usize, DbErr> {
    let recorded = erasure::Entity::find()
        .select_only()
        .column(erasure::Column::TargetId)
        .filter(erasure::Column::TargetId.is_not_null())
        .into_query();
    let which = Column::Id.in_subquery(recorded);
    // Mostly there is none, and nothing to lock.
    let returned = Entity::find().filter(Column::RevokedAt.is_null()).filter(which.clone());
    if returned.limit(1).one(db).await?.is_none() {
        return Ok(0);
    }
    on_the_primary(db, || try_revoke_again(db, which.clone(), origin)).await
}

async fn try_revoke_again(
    db: &DatabaseConnection,
    which: SimpleExpr,
    origin: &Origin,
) -> Result<usize, DbErr> {
    let transaction = begin_write(db).await?;
    let rows = revoke(&transaction, which).await?;
    if !rows.is_empty() {
        record(&transaction, &rows, origin).await?;
    }
    transaction.commit().await?;
    Ok(rows.len())
}

/// Records in the erasure ledger which tokens are revoked, if that is not there yet: those of a time before such entries were written.
/// Those that have expired are good no more anyway.
///
/// # Errors
///
/// The database's error.
pub async fn record_all(db: &DatabaseConnection, origin: &Origin) -> Result<(), DbErr> {
    on_the_primary(db, || async {
        let transaction = begin_write(db).await?;
        let not_expired = Column::ExpiresAt.is_null().or(Column::ExpiresAt.gt(now()));
        let revoked = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::RevokedAt.is_not_null())
            .filter(not_expired)
            .order_by_asc(Column::Id);
        let ids: Vec<Uuid> = revoked.into_tuple().all(&transaction).await?;
        ledger::append_revocations(&transaction, &ids, origin.actor()).await?;
        transaction.commit().await
    })
    .await
}
