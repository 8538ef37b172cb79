//! How far the ledger was signed and published, and who publishes.
//!
//! A claim saves work: two servers that publish to a sink at the same time do no harm, since only one of them can create a batch.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use crate::{
    database::now,
    entity::{
        ledger_publication::{Column, Entity, Model},
        ledger_sink,
    },
};

/// The only row.
const ID: i16 = 1;

/// How long a claim stands. A server that is killed holds the others up no longer.
const CLAIM: Duration = Duration::from_secs(3);

/// Clocks of other machines may be ahead by so much.
pub(crate) const SKEW: Duration = Duration::from_mins(5);

/// Whether it is this server's turn to publish to a sink, from now on and for a few seconds.
///
/// # Errors
///
/// The database's error.
pub async fn claim(db: &impl ConnectionTrait, sink: &str, server: Uuid) -> Result<bool, DbErr> {
    use ledger_sink::Column;
    know(db, sink).await?;
    let now = now();
    let free = Condition::any()
        .add(Column::Holder.is_null())
        .add(Column::Holder.eq(server))
        .add(Column::HeldUntil.is_null())
        .add(Column::HeldUntil.lt(now))
        // The clock of another machine was far ahead.
        .add(Column::HeldUntil.gt(now + CLAIM * 2));
    let claimed = ledger_sink::Entity::update_many()
        .col_expr(Column::Holder, Expr::value(server))
        .col_expr(Column::HeldUntil, Expr::value(now + CLAIM))
        .filter(Column::Name.eq(sink))
        .filter(free)
        .exec(db)
        .await?;
    Ok(claimed.rows_affected > 0)
}

/// It is anybody's turn again: a server ends.
///
/// # Errors
///
/// The database's error.
pub async fn release(db: &impl ConnectionTrait, sink: &str, server: Uuid) -> Result<(), DbErr> {
    use ledger_sink::Column;
    let release = ledger_sink::Entity::update_many()
        .col_expr(Column::Holder, Expr::value(None::<Uuid>))
        .col_expr(Column::HeldUntil, Expr::value(None::<DateTime<Utc>>));
    release.filter(Column::Name.eq(sink)).filter(Column::Holder.eq(server)).exec(db).await.map(drop)
}

/// The newest entry that was published to a sink, as far as this database knows.
///
/// # Errors
///
/// The database's error.
pub async fn published(db: &impl ConnectionTrait, sink: &str) -> Result<i64, DbErr> {
    let row = ledger_sink::Entity::find_by_id(sink).one(db).await?;
    Ok(row.map_or(0, |row| row.published_sequence))
}

/// This entry and all before are in a sink.
///
/// # Errors
///
/// The database's error.
pub async fn set_published(db: &impl ConnectionTrait, sink: &str, sequence: i64) -> Result<(), DbErr> {
    know(db, sink).await?;
    ledger_sink::Entity::update_many()
        .col_expr(ledger_sink::Column::PublishedSequence, Expr::value(sequence))
        .filter(ledger_sink::Column::Name.eq(sink))
        .exec(db)
        .await?;
    set_signed(db, sequence).await
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

/// What was signed of the entries after this one counts no more: an operator has adopted another history.
///
/// # Errors
///
/// The database's error.
pub(super) async fn unsign(db: &impl ConnectionTrait, sequence: i64) -> Result<(), DbErr> {
    let unsign = Entity::update_many().col_expr(Column::SignedSequence, Expr::value(sequence));
    unsign.filter(Column::Id.eq(ID)).filter(Column::SignedSequence.gt(sequence)).exec(db).await.map(drop)
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
    let other = Condition::any()
        .add(Column::ReachedAt.is_null())
        .add(Column::ReachedAt.lt(at))
        .add(Column::ReachedAt.gt(at + SKEW));
    Entity::update_many()
        .col_expr(Column::ReachedAt, Expr::value(at))
        .filter(Column::Id.eq(ID))
        .filter(other)
        .exec(db)
        .await
        .map(drop)
}

/// Makes the row of a sink, if it is not there.
async fn know(db: &impl ConnectionTrait, sink: &str) -> Result<(), DbErr> {
    if ledger_sink::Entity::find_by_id(sink).one(db).await?.is_some() {
        return Ok(());
    }
    let row =
        ledger_sink::Model { name: sink.to_owned(), published_sequence: 0, holder: None, held_until: None };
    let once = OnConflict::column(ledger_sink::Column::Name).do_nothing().to_owned();
    let insert = ledger_sink::Entity::insert(row.into_active_model().reset_all()).on_conflict(once);
    insert.exec_without_returning(db).await.map(drop)
}

async fn row(db: &impl ConnectionTrait) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(ID).one(db).await
}
