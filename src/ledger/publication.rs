//! Who publishes the ledger, and how far it was. One row.
//!
//! A claim saves work: two servers that publish at the same time do no harm, since only one of them can create a batch.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, sea_query::Expr};
use uuid::Uuid;

use crate::{
    database::now,
    entity::ledger_publication::{Column, Entity, Model},
};

/// The only row.
const ID: i16 = 1;

/// How long a claim stands. A server that is killed holds the others up no longer.
const CLAIM: Duration = Duration::from_secs(3);

/// Whether it is this server's turn to publish, from now on and for a few seconds.
///
/// # Errors
///
/// The database's error.
pub async fn claim(db: &impl ConnectionTrait, server: Uuid) -> Result<bool, DbErr> {
    let now = now();
    let free = Condition::any()
        .add(Column::Holder.is_null())
        .add(Column::Holder.eq(server))
        .add(Column::HeldUntil.is_null())
        .add(Column::HeldUntil.lt(now))
        // The clock of another machine was far ahead.
        .add(Column::HeldUntil.gt(now + CLAIM * 2));
    let claimed = Entity::update_many()
        .col_expr(Column::Holder, Expr::value(server))
        .col_expr(Column::HeldUntil, Expr::value(now + CLAIM))
        .filter(Column::Id.eq(ID))
        .filter(free)
        .exec(db)
        .await?;
    Ok(claimed.rows_affected > 0)
}

/// The newest entry that a signed root covers, as far as this database knows.
///
/// # Errors
///
/// The database's error.
pub async fn signed(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    Ok(row(db).await?.map_or(0, |row| row.signed_sequence))
}

/// From now on, a signed root covers this entry and all before.
///
/// # Errors
///
/// The database's error.
pub async fn set_signed(db: &impl ConnectionTrait, sequence: i64) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::SignedSequence, Expr::value(sequence))
        .filter(Column::Id.eq(ID))
        .filter(Column::SignedSequence.lt(sequence))
        .exec(db)
        .await
        .map(drop)
}

/// When a server was last at one with a sink, as far as that was stored.
///
/// # Errors
///
/// The database's error.
pub async fn reached_at(db: &impl ConnectionTrait) -> Result<Option<DateTime<Utc>>, DbErr> {
    Ok(row(db).await?.and_then(|row| row.reached_at))
}

/// A server is at one with a sink.
///
/// # Errors
///
/// The database's error.
pub async fn set_reached(db: &impl ConnectionTrait, at: DateTime<Utc>) -> Result<(), DbErr> {
    let earlier = Condition::any().add(Column::ReachedAt.is_null()).add(Column::ReachedAt.lt(at));
    Entity::update_many()
        .col_expr(Column::ReachedAt, Expr::value(at))
        .filter(Column::Id.eq(ID))
        .filter(earlier)
        .exec(db)
        .await
        .map(drop)
}

async fn row(db: &impl ConnectionTrait) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(ID).one(db).await
}
