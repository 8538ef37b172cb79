use std::sync::Arc;

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, IntoActiveModel,
    QuerySelect, Set, Unchanged,
};

use super::{
    NewEvent,
    batch::Batch,
    chain::{Chain, Link},
    content::Content,
    head::{self, Head},
    postgres,
};
use crate::{
    database::{WriteTransaction, begin_write, on_the_primary},
    entity::{audit_event, audit_event_subject, audit_head},
};

/// SQLite permits 32,766 values in one statement; each event has fourteen.
const CHUNK_ON_SQLITE: usize = 2300;

/// Appends events, in a transaction of their own.
///
/// # Errors
///
/// The database's error; then none of them is there.
pub async fn record<'a>(
    db: &DatabaseConnection,
    events: impl IntoIterator<Item = &'a NewEvent>,
) -> Result<(), DbErr> {
    record_all(db.clone(), vec![Arc::new(events.into_iter().collect())]).await.map(drop)
}

/// A head that moved.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) from: Head,
    pub(super) to: Head,
}

/// The same, of batches.
///
/// # Errors
///
/// The same.
pub(super) async fn record_all(db: DatabaseConnection, batches: Vec<Arc<Batch>>) -> Result<Moved, DbErr> {
    on_the_primary(&db, || async {
        let transaction = begin_write(&db).await?;
        let moved = append_all(&transaction, &batches).await?;
        transaction.commit().await?;
        Ok(moved)
    })
    .await
}

/// Appends batches to a head that was the newest a moment ago, in one statement, without a lock before. `None` if it is
/// not the newest any more; then none of them is there. On PostgreSQL only, and for at least one event.
///
/// # Errors
///
/// The database's error; then none of them is there, unless only the answer was lost.
pub(super) async fn record_all_after(
    db: DatabaseConnection,
    batches: Vec<Arc<Batch>>,
    from: Head,
) -> Result<Option<Moved>, DbErr> {
    let chain = Chain::of(events(&batches), &from);
    let to = chain.head();
    let stored = on_the_primary(&db, || postgres::append_alone(&db, &chain, &from, &to)).await?;
    Ok(stored.then_some(Moved { from, to }))
}

/// Appends events in the transaction of what they tell of. Holds the trail's lock until that ends: so it comes last,
/// and after the lock of the erasure ledger, where both are taken.
///
/// # Errors
///
/// The database's error.
pub(crate) async fn append<'a>(
    transaction: &WriteTransaction,
    events: impl IntoIterator<Item = &'a NewEvent>,
) -> Result<(), DbErr> {
    append_all(transaction, &[Arc::new(events.into_iter().collect())]).await.map(drop)
}

fn events(batches: &[Arc<Batch>]) -> impl Iterator<Item = Content<'_>> {
    batches.iter().flat_map(|batch| batch.iter())
}

async fn append_all(transaction: &WriteTransaction, batches: &[Arc<Batch>]) -> Result<Moved, DbErr> {
    let from: Head = audit_head::Entity::find_by_id(head::ID)
        .lock_exclusive()
        .one(transaction)
        .await?
        .ok_or_else(|| DbErr::RecordNotFound("the audit trail has no head".to_owned()))?
        .into();
    let chain = Chain::of(events(batches), &from);
    let to = chain.head();
    match transaction.get_database_backend() {
        DbBackend::Postgres => {
            if !postgres::append(transaction, &chain, &from, &to).await? {
                return Err(DbErr::RecordNotUpdated);
            }
        }
        _ => on_sqlite(transaction, &chain, &to).await?,
    }
    Ok(Moved { from, to })
}

async fn on_sqlite(transaction: &WriteTransaction, chain: &Chain<'_>, to: &Head) -> Result<(), DbErr> {
    let rows: Vec<_> = chain.links().map(|link| row(&link).into_active_model().reset_all()).collect();
    for chunk in rows.chunks(CHUNK_ON_SQLITE) {
        audit_event::Entity::insert_many(chunk.to_vec()).exec_without_returning(transaction).await?;
    }
    let index: Vec<_> = chain
        .index()
        .map(|(subject_id, sequence)| {
            audit_event_subject::Model { subject_id, sequence }.into_active_model().reset_all()
        })
        .collect();
    for chunk in index.chunks(CHUNK_ON_SQLITE) {
        audit_event_subject::Entity::insert_many(chunk.to_vec()).exec_without_returning(transaction).await?;
    }
    let moved = audit_head::ActiveModel {
        id: Unchanged(head::ID),
        sequence: Set(to.sequence),
        digest: Set(to.digest.clone()),
    };
    moved.update(transaction).await.map(drop)
}

fn row(link: &Link) -> audit_event::Model {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    audit_event::Model {
        sequence: link.sequence,
        occurred_at: link.event.occurred_at,
        actor: link.event.actor.to_owned(),
        action: link.event.action.to_owned(),
        subject_id: link.event.subject_id,
        attributes: link.event.attributes.to_owned(),
        target: filled(link.event.target),
        request_id: filled(link.event.request_id),
        outcome: link.event.outcome.to_owned(),
        previous_digest: link.previous_digest.to_vec(),
        digest: link.digest.to_vec(),
        version: link.event.version,
        count: link.event.count,
        subject_ids: filled(link.event.subject_ids),
    }
}
