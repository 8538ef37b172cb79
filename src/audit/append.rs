use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait, IntoActiveModel, QuerySelect, Set, Statement, Unchanged,
};
use uuid::Uuid;

use super::{
    NewEvent,
    digest::digest,
    head::{self, Head},
};
use crate::{
    database::begin_write,
    entity::{audit_event, audit_head},
};

/// SQLite permits 32,766 values in one statement; each event has eleven.
const CHUNK_ON_SQLITE: usize = 2900;

/// The events, and the head that they move, in one statement: nothing happens if the head is another one than they were
/// chained to. By arrays, so that any number of events is one text, which PostgreSQL parses once. Arrays hold no NULL
/// here: what is absent comes as an empty text, which nothing else is; an id that is absent is told by `has_subject`, as
/// any id may be one.
const ON_POSTGRES: &str = "WITH moved AS (UPDATE audit_head SET sequence = $1, digest = $2 \
    WHERE id = $3 AND sequence = $4 AND digest = $5 RETURNING id) \
    INSERT INTO audit_events (sequence, occurred_at, actor, action, subject_id, attributes, \
    target, request_id, outcome, previous_digest, digest) \
    SELECT sequence, occurred_at, actor, action, CASE WHEN has_subject THEN subject_id END, attributes, \
    NULLIF(target, ''), NULLIF(request_id, ''), outcome, previous_digest, digest \
    FROM unnest($6::int8[], $7::timestamptz[], $8::text[], $9::text[], $10::bool[], $11::uuid[], $12::text[], \
    $13::text[], $14::text[], $15::text[], $16::bytea[], $17::bytea[]) AS new(sequence, occurred_at, actor, action, \
    has_subject, subject_id, attributes, target, request_id, outcome, previous_digest, digest) \
    WHERE EXISTS (SELECT FROM moved)";

/// Appends events, in a transaction of their own.
///
/// # Errors
///
/// The database's error; then none of them is there.
pub async fn record<'a>(
    db: &DatabaseConnection,
    events: impl IntoIterator<Item = &'a NewEvent>,
) -> Result<(), DbErr> {
    record_rows(db.clone(), rows(events)).await.map(drop)
}

/// A head that moved.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) from: Head,
    pub(super) to: Head,
}

/// The same, of events that are rows already.
///
/// # Errors
///
/// The same.
pub(super) async fn record_rows(
    db: DatabaseConnection,
    rows: Vec<audit_event::Model>,
) -> Result<Moved, DbErr> {
    let transaction = begin_write(&db).await?;
    let moved = append_rows(&transaction, rows).await?;
    transaction.commit().await?;
    Ok(moved)
}

/// Appends events that are rows already to a head that was the newest a moment ago, in one statement, without a lock
/// before. `None` if it is not the newest any more; then none of them is there. On PostgreSQL only, and for at least one.
///
/// # Errors
///
/// The database's error; then none of them is there, unless only the answer was lost.
pub(super) async fn record_rows_after(
    db: DatabaseConnection,
    mut rows: Vec<audit_event::Model>,
    from: Head,
) -> Result<Option<Moved>, DbErr> {
    let to = chain(&mut rows, &from);
    let stored = on_postgres(&db, rows, &from, &to).await?;
    Ok(stored.then_some(Moved { from, to }))
}

/// Appends events in the transaction of what they tell of. Holds the trail's lock until that ends: so it comes last,
/// and after the lock of the erasure ledger, where both are taken.
///
/// # Errors
///
/// The database's error.
pub(crate) async fn append<'a>(
    transaction: &DatabaseTransaction,
    events: impl IntoIterator<Item = &'a NewEvent>,
) -> Result<(), DbErr> {
    append_rows(transaction, rows(events)).await.map(drop)
}

/// The rows of events, but for their place in the chain.
pub(super) fn rows<'a>(events: impl IntoIterator<Item = &'a NewEvent>) -> Vec<audit_event::Model> {
    events.into_iter().map(NewEvent::row).collect()
}

async fn append_rows(
    transaction: &DatabaseTransaction,
    mut rows: Vec<audit_event::Model>,
) -> Result<Moved, DbErr> {
    let from: Head = audit_head::Entity::find_by_id(head::ID)
        .lock_exclusive()
        .one(transaction)
        .await?
        .ok_or_else(|| DbErr::RecordNotFound("the audit trail has no head".to_owned()))?
        .into();
    let to = chain(&mut rows, &from);
    match transaction.get_database_backend() {
        DbBackend::Postgres => {
            if !on_postgres(transaction, rows, &from, &to).await? {
                return Err(DbErr::RecordNotUpdated);
            }
        }
        _ => on_sqlite(transaction, rows, &to).await?,
    }
    Ok(Moved { from, to })
}

/// Gives rows their place after a head. The new head.
fn chain(rows: &mut [audit_event::Model], from: &Head) -> Head {
    let mut head = from.clone();
    for row in rows {
        head.sequence += 1;
        row.sequence = head.sequence;
        row.previous_digest = head.digest;
        row.digest = digest(row).to_vec();
        head.digest = row.digest.clone();
    }
    head
}

/// Whether the head was `from`, and so they are stored.
async fn on_postgres(
    connection: &impl ConnectionTrait,
    rows: Vec<audit_event::Model>,
    from: &Head,
    to: &Head,
) -> Result<bool, DbErr> {
    let count = rows.len() as u64;
    let mut columns = Columns::default();
    for row in rows {
        columns.sequence.push(row.sequence);
        columns.occurred_at.push(row.occurred_at);
        columns.actor.push(row.actor);
        columns.action.push(row.action);
        columns.has_subject.push(row.subject_id.is_some());
        columns.subject_id.push(row.subject_id.unwrap_or_default());
        columns.attributes.push(row.attributes);
        columns.target.push(row.target.unwrap_or_default());
        columns.request_id.push(row.request_id.unwrap_or_default());
        columns.outcome.push(row.outcome);
        columns.previous_digest.push(row.previous_digest);
        columns.digest.push(row.digest);
    }
    let values = [
        to.sequence.into(),
        to.digest.clone().into(),
        head::ID.into(),
        from.sequence.into(),
        from.digest.clone().into(),
        columns.sequence.into(),
        columns.occurred_at.into(),
        columns.actor.into(),
        columns.action.into(),
        columns.has_subject.into(),
        columns.subject_id.into(),
        columns.attributes.into(),
        columns.target.into(),
        columns.request_id.into(),
        columns.outcome.into(),
        columns.previous_digest.into(),
        columns.digest.into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, ON_POSTGRES, values);
    Ok(connection.execute_raw(statement).await?.rows_affected() == count)
}

async fn on_sqlite(
    transaction: &DatabaseTransaction,
    rows: Vec<audit_event::Model>,
    to: &Head,
) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().map(|row| row.into_active_model().reset_all()).peekable();
    while rows.peek().is_some() {
        let chunk = rows.by_ref().take(CHUNK_ON_SQLITE);
        audit_event::Entity::insert_many(chunk).exec_without_returning(transaction).await?;
    }
    let moved = audit_head::ActiveModel {
        id: Unchanged(head::ID),
        sequence: Set(to.sequence),
        digest: Set(to.digest.clone()),
    };
    moved.update(transaction).await.map(drop)
}

/// Rows, turned.
#[derive(Default)]
struct Columns {
    sequence: Vec<i64>,
    occurred_at: Vec<chrono::DateTime<chrono::Utc>>,
    actor: Vec<String>,
    action: Vec<String>,
    has_subject: Vec<bool>,
    subject_id: Vec<Uuid>,
    attributes: Vec<String>,
    target: Vec<String>,
    request_id: Vec<String>,
    outcome: Vec<String>,
    previous_digest: Vec<Vec<u8>>,
    digest: Vec<Vec<u8>>,
}
