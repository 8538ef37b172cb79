use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement, Value,
    sqlx::{self, Arguments, Connection, PgPool, error::BoxDynError, postgres::PgArguments},
};
use uuid::Uuid;

use super::Chain;
use crate::{
    audit::content::VERSION,
    chain::{HEAD_ID, Head},
    database::is_overtaken,
};

/// The head that the events move. Nothing happens if it is another one than they were chained to.
macro_rules! moved {
    () => {
        "WITH moved AS (UPDATE audit_head SET sequence = $1, digest = $2 \
        WHERE id = $3 AND sequence = $4 AND digest = $5 RETURNING id)"
    };
}

/// The events, by arrays, so that any number of them is one text, which PostgreSQL parses once. Each array is a question of its own: what it
/// holds is not known to the planner, which would otherwise make another plan for each length. Arrays hold no NULL here: an absent text is
/// an empty one, which no other text is; an absent id is told by `has_subject`, as any id may be one, or by the list.
macro_rules! new {
    () => {
        "unnest((SELECT $6::int8[]), (SELECT $7::timestamptz[]), (SELECT $8::text[]), (SELECT $9::text[]), (SELECT $10::bool[]), \
        (SELECT $11::uuid[]), (SELECT $12::text[]), (SELECT $13::text[]), (SELECT $14::text[]), (SELECT $15::text[]), \
        (SELECT $16::bytea[]), (SELECT $17::bytea[]), (SELECT $18::uuid[]), (SELECT $20::int4[]), (SELECT $21::text[])) \
        AS new(sequence, occurred_at, actor, action, has_subject, subject_id, attributes, target, request_id, outcome, \
        previous_digest, digest, group_id, count, subject_ids)"
    };
}

macro_rules! insert {
    () => {
        "INSERT INTO audit_events (sequence, occurred_at, actor, action, subject_id, attributes, \
        target, request_id, outcome, previous_digest, digest, version, count, subject_ids, group_id) \
        SELECT sequence, occurred_at, actor, action, CASE WHEN has_subject THEN subject_id END, attributes, \
        NULLIF(target, ''), NULLIF(request_id, ''), outcome, previous_digest, digest, $19, count, NULLIF(subject_ids, ''), \
        CASE WHEN subject_ids <> '' THEN group_id END"
    };
}

/// The events and the head that they move, in one statement.
const APPEND: &str = concat!(moved!(), " ", insert!(), " FROM ", new!(), " WHERE EXISTS (SELECT FROM moved)");

/// The same where some concern several subjects: also the groups of subjects that were not there before.
const APPEND_GROUPS: &str = concat!(
    moved!(),
    ", new AS (SELECT * FROM ",
    new!(),
    " WHERE EXISTS (SELECT FROM moved)), \
    unknown AS MATERIALIZED (SELECT DISTINCT group_id, subject_ids FROM new WHERE subject_ids <> '' \
    AND (SELECT 1 FROM audit_group_subjects AS known WHERE known.group_id = new.group_id LIMIT 1) IS NULL), \
    indexed AS (INSERT INTO audit_group_subjects (subject_id, group_id) \
    SELECT subject_id::uuid, group_id FROM unknown, unnest(string_to_array(subject_ids, ',')) AS subject_id \
    ON CONFLICT DO NOTHING) ",
    insert!(),
    " FROM new"
);

fn statement(chain: &Chain<'_>) -> &'static str {
    if chain.links().any(|link| !link.entry.subject_ids.is_empty()) { APPEND_GROUPS } else { APPEND }
}

/// Appends events after `from`, and moves the head to `to`. Whether `from` was the head, and so they are stored.
///
/// # Errors
///
/// The database's error.
pub(super) async fn append(
    connection: &impl ConnectionTrait,
    chain: &Chain<'_>,
    from: &Head,
    to: &Head,
) -> Result<bool, DbErr> {
    let values = Columns::of(chain).values(from, to);
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, statement(chain), values);
    Ok(connection.execute_raw(statement).await?.rows_affected() == chain.len() as u64)
}

/// The same, outside of any transaction, and without a copy of each text: SeaORM's values own theirs, and this is done
/// for each look at personal values.
///
/// # Errors
///
/// The database's error.
pub(super) async fn append_alone(
    db: &DatabaseConnection,
    chain: &Chain<'_>,
    from: &Head,
    to: &Head,
) -> Result<bool, DbErr> {
    let stored = append_raw(db.get_postgres_connection_pool(), chain, from, to)
        .await
        .map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())));
    match stored {
        // The database's default may be stricter than READ COMMITTED. Then this is what is said of a head that moved meanwhile.
        Err(error) if is_overtaken(&error) => Ok(false),
        stored => stored,
    }
}

async fn append_raw(pool: &PgPool, chain: &Chain<'_>, from: &Head, to: &Head) -> Result<bool, sqlx::Error> {
    let arguments = Columns::of(chain).arguments(from, to).map_err(sqlx::Error::Encode)?;
    let mut connection = pool.acquire().await?;
    let stored = sqlx::query_with(statement(chain), arguments).execute(&mut *connection).await;
    // Otherwise each connection of the pool would keep room for the largest batch that it ever sent.
    connection.shrink_buffers();
    let stored = stored?;
    Ok(stored.rows_affected() == chain.len() as u64)
}

/// Events, turned.
struct Columns<'a> {
    sequence: Vec<i64>,
    occurred_at: Vec<DateTime<Utc>>,
    actor: Vec<&'a str>,
    action: Vec<&'a str>,
    has_subject: Vec<bool>,
    subject_id: Vec<Uuid>,
    attributes: Vec<&'a str>,
    target: Vec<&'a str>,
    request_id: Vec<&'a str>,
    outcome: Vec<&'a str>,
    previous_digest: Vec<&'a [u8]>,
    digest: Vec<&'a [u8]>,
    count: Vec<i32>,
    subject_ids: Vec<&'a str>,
    /// Any id, if there are no several subjects.
    group_id: Vec<Uuid>,
}

impl<'a> Columns<'a> {
    fn of(chain: &'a Chain<'_>) -> Self {
        let count = chain.len();
        let mut columns = Self {
            sequence: Vec::with_capacity(count),
            occurred_at: Vec::with_capacity(count),
            actor: Vec::with_capacity(count),
            action: Vec::with_capacity(count),
            has_subject: Vec::with_capacity(count),
            subject_id: Vec::with_capacity(count),
            attributes: Vec::with_capacity(count),
            target: Vec::with_capacity(count),
            request_id: Vec::with_capacity(count),
            outcome: Vec::with_capacity(count),
            previous_digest: Vec::with_capacity(count),
            digest: Vec::with_capacity(count),
            count: Vec::with_capacity(count),
            subject_ids: Vec::with_capacity(count),
            group_id: Vec::with_capacity(count),
        };
        for link in chain.links() {
            columns.sequence.push(link.sequence);
            columns.occurred_at.push(link.entry.occurred_at);
            columns.actor.push(link.entry.actor);
            columns.action.push(link.entry.action);
            columns.has_subject.push(link.entry.subject_id.is_some());
            columns.subject_id.push(link.entry.subject_id.unwrap_or_default());
            columns.attributes.push(link.entry.attributes);
            columns.target.push(link.entry.target);
            columns.request_id.push(link.entry.request_id);
            columns.outcome.push(link.entry.outcome);
            columns.previous_digest.push(link.previous_digest);
            columns.digest.push(link.digest);
            columns.count.push(link.entry.count);
            columns.subject_ids.push(link.entry.subject_ids);
            columns.group_id.push(link.entry.group().unwrap_or_default());
        }
        columns
    }

    fn values(self, from: &Head, to: &Head) -> [Value; 21] {
        let texts = |column: Vec<&str>| column.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let digests = |column: Vec<&[u8]>| column.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
        [
            to.sequence.into(),
            to.digest.clone().into(),
            HEAD_ID.into(),
            from.sequence.into(),
            from.digest.clone().into(),
            self.sequence.into(),
            self.occurred_at.into(),
            texts(self.actor).into(),
            texts(self.action).into(),
            self.has_subject.into(),
            self.subject_id.into(),
            texts(self.attributes).into(),
            texts(self.target).into(),
            texts(self.request_id).into(),
            texts(self.outcome).into(),
            digests(self.previous_digest).into(),
            digests(self.digest).into(),
            self.group_id.into(),
            VERSION.into(),
            self.count.into(),
            texts(self.subject_ids).into(),
        ]
    }

    /// The same without a copy of each text.
    fn arguments(&self, from: &Head, to: &Head) -> Result<PgArguments, BoxDynError> {
        let mut arguments = PgArguments::default();
        // An event takes about 250 bytes. To grow in steps would copy all of them, again and again.
        arguments.reserve(21, 320 * self.sequence.len());
        arguments.add(to.sequence)?;
        arguments.add(&to.digest)?;
        arguments.add(HEAD_ID)?;
        arguments.add(from.sequence)?;
        arguments.add(&from.digest)?;
        arguments.add(&self.sequence)?;
        arguments.add(&self.occurred_at)?;
        arguments.add(&self.actor)?;
        arguments.add(&self.action)?;
        arguments.add(&self.has_subject)?;
        arguments.add(&self.subject_id)?;
        arguments.add(&self.attributes)?;
        arguments.add(&self.target)?;
        arguments.add(&self.request_id)?;
        arguments.add(&self.outcome)?;
        arguments.add(&self.previous_digest)?;
        arguments.add(&self.digest)?;
        arguments.add(&self.group_id)?;
        arguments.add(VERSION)?;
        arguments.add(&self.count)?;
        arguments.add(&self.subject_ids)?;
        Ok(arguments)
    }
}
