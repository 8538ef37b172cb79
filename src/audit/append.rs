use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait, IntoActiveModel, QuerySelect, Set, Statement, Unchanged,
};
use uuid::Uuid;

use super::{NewEvent, digest::digest, head};
use crate::{
    database::begin_write,
    entity::{audit_event, audit_head},
};

/// SQLite permits 32,766 values in one statement; each event has eleven.
const CHUNK_ON_SQLITE: usize = 2900;

/// The events, and the head that they move, in one statement: everybody else waits for the head's lock. By arrays, so
/// that any number of events is one text, which PostgreSQL parses once. Arrays hold no NULL here: what is absent comes
/// as an empty text, which nothing else is; an id that is absent is told by `has_subject`, as any id may be one.
const ON_POSTGRES: &str = "WITH stored AS (INSERT INTO audit_events (sequence, occurred_at, actor, action, \
    subject_id, attributes, target, request_id, outcome, previous_digest, digest) \
    SELECT sequence, occurred_at, actor, action, CASE WHEN has_subject THEN subject_id END, attributes, \
    NULLIF(target, ''), NULLIF(request_id, ''), outcome, previous_digest, digest \
    FROM unnest($1::int8[], $2::timestamptz[], $3::text[], $4::text[], $5::bool[], $6::uuid[], $7::text[], \
    $8::text[], $9::text[], $10::text[], $11::bytea[], $12::bytea[]) AS new(sequence, occurred_at, actor, action, \
    has_subject, subject_id, attributes, target, request_id, outcome, previous_digest, digest)) \
    UPDATE audit_head SET sequence = $13, digest = $14 WHERE id = $15";

/// Appends events, in a transaction of their own.
///
/// # Errors
///
/// The database's error; then none of them is there.
pub async fn record<'a>(
    db: &DatabaseConnection,
    events: impl IntoIterator<Item = &'a NewEvent>,
) -> Result<(), DbErr> {
    record_rows(db.clone(), rows(events)).await
}

/// The same, of events that are rows already.
///
/// # Errors
///
/// The same.
pub(super) async fn record_rows(db: DatabaseConnection, rows: Vec<audit_event::Model>) -> Result<(), DbErr> {
    let transaction = begin_write(&db).await?;
    append_rows(&transaction, rows).await?;
    transaction.commit().await
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
    append_rows(transaction, rows(events)).await
}

/// The rows of events, but for their place in the chain.
pub(super) fn rows<'a>(events: impl IntoIterator<Item = &'a NewEvent>) -> Vec<audit_event::Model> {
    events.into_iter().map(NewEvent::row).collect()
}

async fn append_rows(
    transaction: &DatabaseTransaction,
    mut rows: Vec<audit_event::Model>,
) -> Result<(), DbErr> {
    let mut head = audit_head::Entity::find_by_id(head::ID)
        .lock_exclusive()
        .one(transaction)
        .await?
        .ok_or_else(|| DbErr::RecordNotFound("the audit trail has no head".to_owned()))?;
    for row in &mut rows {
        head.sequence += 1;
        row.sequence = head.sequence;
        row.previous_digest = head.digest;
        row.digest = digest(row).to_vec();
        head.digest = row.digest.clone();
    }
    match transaction.get_database_backend() {
        DbBackend::Postgres => transaction.execute_raw(on_postgres(rows, head)).await.map(drop),
        _ => on_sqlite(transaction, rows, head).await,
    }
}

fn on_postgres(rows: Vec<audit_event::Model>, head: audit_head::Model) -> Statement {
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
        head.sequence.into(),
        head.digest.into(),
        head.id.into(),
    ];
    Statement::from_sql_and_values(DbBackend::Postgres, ON_POSTGRES, values)
}

async fn on_sqlite(
    transaction: &DatabaseTransaction,
    rows: Vec<audit_event::Model>,
    head: audit_head::Model,
) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().map(|row| row.into_active_model().reset_all()).peekable();
    while rows.peek().is_some() {
        let chunk = rows.by_ref().take(CHUNK_ON_SQLITE);
        audit_event::Entity::insert_many(chunk).exec_without_returning(transaction).await?;
    }
    let moved = audit_head::ActiveModel {
        id: Unchanged(head.id),
        sequence: Set(head.sequence),
        digest: Set(head.digest),
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
