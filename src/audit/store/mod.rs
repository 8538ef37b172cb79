//! Storing events after the trail's head: the one place that writes them.

mod postgres;

use std::{collections::BTreeMap, sync::Arc};

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait,
    IntoActiveModel, QueryFilter,
};
use uuid::Uuid;

use super::{NewEvent, content::Content, lane::Batch, verify::Events};
use crate::{
    chain::{self, Chained, Head, Link},
    database::{WriteTransaction, begin_write, on_the_primary},
    entity::{audit_event, audit_group_subject},
};

/// Events, chained.
type Chain<'a> = Chained<'a, Content<'a>>;

/// SQLite permits 32,766 values in one statement; each event has fifteen.
const CHUNK_ON_SQLITE: usize = 2100;

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
pub(super) struct MovedHead {
    pub(super) from: Head,
    pub(super) to: Head,
}

/// The same, of batches.
///
/// # Errors
///
/// The same.
pub(super) async fn record_all(db: DatabaseConnection, batches: Vec<Arc<Batch>>) -> Result<MovedHead, DbErr> {
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
) -> Result<Option<MovedHead>, DbErr> {
    let chain = Chained::after(&from, events(&batches));
    let to = chain.head();
    let stored = on_the_primary(&db, || postgres::append_alone(&db, &chain, &from, &to)).await?;
    Ok(stored.then_some(MovedHead { from, to }))
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

async fn append_all(transaction: &WriteTransaction, batches: &[Arc<Batch>]) -> Result<MovedHead, DbErr> {
    let from = chain::lock::<Events>(transaction).await?;
    let chain = Chained::after(&from, events(batches));
    let to = chain.head();
    match transaction.get_database_backend() {
        DbBackend::Postgres => {
            if !postgres::append(transaction, &chain, &from, &to).await? {
                return Err(DbErr::RecordNotUpdated);
            }
        }
        _ => on_sqlite(transaction, &chain, &to).await?,
    }
    Ok(MovedHead { from, to })
}

async fn on_sqlite(transaction: &WriteTransaction, chain: &Chain<'_>, to: &Head) -> Result<(), DbErr> {
    for (group_id, subjects) in groups(chain) {
        let known =
            audit_group_subject::Entity::find().filter(audit_group_subject::Column::GroupId.eq(group_id));
        if known.one(transaction).await?.is_some() {
            continue;
        }
        let index = subjects.map(|subject_id| {
            audit_group_subject::Model { subject_id, group_id }.into_active_model().reset_all()
        });
        audit_group_subject::Entity::insert_many(index).exec_without_returning(transaction).await?;
    }
    let rows: Vec<_> = chain.links().map(|link| row(&link).into_active_model().reset_all()).collect();
    for chunk in rows.chunks(CHUNK_ON_SQLITE) {
        audit_event::Entity::insert_many(chunk.to_vec()).exec_without_returning(transaction).await?;
    }
    chain::advance::<Events>(transaction, to).await
}

/// The groups of subjects whom events concern together, each once.
fn groups<'a>(chain: &Chain<'a>) -> BTreeMap<Uuid, impl Iterator<Item = Uuid> + use<'a>> {
    // Most events have none.
    chain.links().filter_map(|link| Some((link.entry.group()?, link.entry.several()))).collect()
}

fn row(link: &Link<'_, &Content<'_>>) -> audit_event::Model {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    audit_event::Model {
        sequence: link.sequence,
        occurred_at: link.entry.occurred_at,
        actor: link.entry.actor.to_owned(),
        action: link.entry.action.to_owned(),
        subject_id: link.entry.subject_id,
        attributes: link.entry.attributes.to_owned(),
        target: filled(link.entry.target),
        request_id: filled(link.entry.request_id),
        outcome: link.entry.outcome.to_owned(),
        previous_digest: link.previous_digest.to_vec(),
        digest: link.digest.to_vec(),
        version: link.entry.version,
        count: link.entry.count,
        subject_ids: filled(link.entry.subject_ids),
        group_id: link.entry.group(),
    }
}
