//! An erasure ledger that went back: a standby that took over without the last entries, a restored backup.
//!
//! Whom the lost entries named, nobody can tell any more; and what is read may be about them. So nothing personal is answered
//! until an operator has adopted the ledger as it is. A rollback is a row, so that other servers, and those that start later, know
//! of it; adopted are rows, by their ids: an older adoption says nothing about a later rollback.

use std::fmt;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::forward::is_kept;
use crate::{
    audit::{self, Action, MAX_ACTOR, NewEvent, Origin},
    chain::Head,
    database::{WriteTransaction, begin_write, now, on_the_primary},
    entity::ledger_rollback::{Column, Entity, Model},
};

/// Who brings a ledger forward, forgets again, and adopts the rollback that it was.
pub(crate) const BROUGHT_FORWARD: &str = "system:sinks";

/// A ledger that does not go on from where somebody has read it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback(Model);

impl Rollback {
    /// Noticed now: the ledger was read to `seen`, and ends at `found`.
    #[must_use]
    pub fn notice(seen: &Head, found: &Head, noticed_by: &str) -> Self {
        Self(Model {
            id: Uuid::now_v7(),
            seen_sequence: seen.sequence,
            seen_digest: seen.digest.clone(),
            found_sequence: found.sequence,
            found_digest: found.digest.clone(),
            noticed_at: now(),
            noticed_by: noticed_by.chars().take(MAX_ACTOR).collect(),
            adopted_at: None,
            adopted_by: None,
        })
    }

    /// Its row.
    #[must_use]
    pub fn row(&self) -> &Model {
        &self.0
    }

    /// Whether an operator has adopted the ledger as it was found.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        self.0.adopted_at.is_some()
    }
}

/// Which entries are gone, as the end of a sentence about the ledger.
impl fmt::Display for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seen, found) = (self.0.seen_sequence, self.0.found_sequence);
        match seen - found {
            ..=0 => write!(f, "entry {seen} is another one now, and earlier ones may be"),
            1 => write!(f, "entry {seen} is gone"),
            _ => write!(f, "entries {} to {seen} are gone", found + 1),
        }
    }
}

/// The rollbacks that wait for an operator, and these.
///
/// # Errors
///
/// The database's error.
pub async fn waiting_or(db: &impl ConnectionTrait, these: &[Rollback]) -> Result<Vec<Rollback>, DbErr> {
    let ids = these.iter().map(|rollback| rollback.0.id);
    let which = Condition::any()
        .add(Column::AdoptedAt.is_null())
        .add_option((!these.is_empty()).then(|| Column::Id.is_in(ids)));
    let rows = Entity::find().filter(which).order_by_asc(Column::Id).all(db).await?;
    Ok(rows.into_iter().map(Rollback).collect())
}

/// Stores a rollback for everybody to know, unless nothing is gone any more: who read from a standby that was behind has noticed one,
/// too, and it has caught up. Whether it is stored.
///
/// # Errors
///
/// The database's error.
pub async fn store(db: &DatabaseConnection, rollback: &Rollback) -> Result<bool, DbErr> {
    if is_kept(db, rollback.0.seen_sequence, &rollback.0.seen_digest).await? {
        return Ok(false);
    }
    let row = || Entity::insert(rollback.0.clone().into_active_model().reset_all());
    on_the_primary(db, || row().exec_without_returning(db)).await?;
    Ok(true)
}

/// The same in a transaction of its own, if there is anything to do: who notices a rollback may have done so while the ledger was brought
/// forward.
///
/// # Errors
///
/// The database's error.
pub async fn settle_those_kept(db: &DatabaseConnection, waiting: &[Rollback]) -> Result<bool, DbErr> {
    for Rollback(row) in waiting {
        if row.adopted_at.is_none() && is_kept(db, row.seen_sequence, &row.seen_digest).await? {
            let transaction = begin_write(db).await?;
            settle(&transaction).await?;
            transaction.commit().await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adopts those of which nothing is gone any more: the ledger was brought forward.
pub(super) async fn settle(transaction: &WriteTransaction) -> Result<(), DbErr> {
    for Rollback(row) in waiting_or(transaction, &[]).await? {
        if is_kept(transaction, row.seen_sequence, &row.seen_digest).await? {
            Entity::update_many()
                .col_expr(Column::AdoptedAt, Expr::value(now()))
                .col_expr(Column::AdoptedBy, Expr::value(BROUGHT_FORWARD))
                .filter(Column::Id.eq(row.id))
                .exec(transaction)
                .await?;
        }
    }
    Ok(())
}

/// Adopts the ledger as it is: of these rollbacks, those that wait. Gives them. Leaves an event for each in the audit trail.
///
/// # Errors
///
/// The database's error; then nothing is adopted.
pub async fn adopt(
    db: &DatabaseConnection,
    these: &[Rollback],
    origin: &Origin,
) -> Result<Vec<Rollback>, DbErr> {
    on_the_primary(db, || try_adopt(db, these, origin)).await
}

async fn try_adopt(
    db: &DatabaseConnection,
    these: &[Rollback],
    origin: &Origin,
) -> Result<Vec<Rollback>, DbErr> {
    let transaction = begin_write(db).await?;
    let which = Condition::all()
        .add(Column::AdoptedAt.is_null())
        .add(Column::Id.is_in(these.iter().map(|rollback| rollback.0.id)));
    let rows = Entity::find().filter(which).lock_exclusive().all(&transaction).await?;
    if rows.is_empty() {
        transaction.rollback().await?;
        return Ok(Vec::new());
    }
    Entity::update_many()
        .col_expr(Column::AdoptedAt, Expr::value(now()))
        .col_expr(Column::AdoptedBy, Expr::value(origin.actor()))
        .filter(Column::Id.is_in(rows.iter().map(|row| row.id)))
        .exec(&transaction)
        .await?;
    let events: Vec<_> =
        rows.iter().map(|row| NewEvent::new(origin, Action::LedgerAdopt).target(row.id)).collect();
    audit::append(&transaction, &events).await?;
    transaction.commit().await?;
    Ok(rows.into_iter().map(Rollback).collect())
}
