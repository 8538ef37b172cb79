use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement, Value,
    sqlx::{self, Postgres, postgres::PgArguments, query::Query},
};
use uuid::Uuid;

use super::{
    chain::Chain,
    head::{self, Head},
};

/// The events, and the head that they move, in one statement: nothing happens if the head is another one than they were
/// chained to. By arrays, so that any number of events is one text, which PostgreSQL parses once. Arrays hold no NULL
/// here: what is absent comes as an empty text, which nothing else is; an id that is absent is told by `has_subject`, as
/// any id may be one.
const APPEND: &str = "WITH moved AS (UPDATE audit_head SET sequence = $1, digest = $2 \
    WHERE id = $3 AND sequence = $4 AND digest = $5 RETURNING id) \
    INSERT INTO audit_events (sequence, occurred_at, actor, action, subject_id, attributes, \
    target, request_id, outcome, previous_digest, digest) \
    SELECT sequence, occurred_at, actor, action, CASE WHEN has_subject THEN subject_id END, attributes, \
    NULLIF(target, ''), NULLIF(request_id, ''), outcome, previous_digest, digest \
    FROM unnest($6::int8[], $7::timestamptz[], $8::text[], $9::text[], $10::bool[], $11::uuid[], $12::text[], \
    $13::text[], $14::text[], $15::text[], $16::bytea[], $17::bytea[]) AS new(sequence, occurred_at, actor, action, \
    has_subject, subject_id, attributes, target, request_id, outcome, previous_digest, digest) \
    WHERE EXISTS (SELECT FROM moved)";

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
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, APPEND, values);
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
    let columns = Columns::of(chain);
    let stored = columns.bind(sqlx::query(APPEND), from, to).execute(db.get_postgres_connection_pool()).await;
    let stored = stored.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))?;
    Ok(stored.rows_affected() == chain.len() as u64)
}

/// Events, turned.
#[derive(Default)]
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
}

impl<'a> Columns<'a> {
    fn of(chain: &'a Chain<'_>) -> Self {
        let mut columns = Self::default();
        for link in chain.links() {
            columns.sequence.push(link.sequence);
            columns.occurred_at.push(link.event.occurred_at);
            columns.actor.push(link.event.actor);
            columns.action.push(link.event.action);
            columns.has_subject.push(link.event.subject_id.is_some());
            columns.subject_id.push(link.event.subject_id.unwrap_or_default());
            columns.attributes.push(link.event.attributes);
            columns.target.push(link.event.target);
            columns.request_id.push(link.event.request_id);
            columns.outcome.push(link.event.outcome);
            columns.previous_digest.push(link.previous_digest);
            columns.digest.push(link.digest);
        }
        columns
    }

    fn values(self, from: &Head, to: &Head) -> [Value; 17] {
        let texts = |column: Vec<&str>| column.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let digests = |column: Vec<&[u8]>| column.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
        [
            to.sequence.into(),
            to.digest.clone().into(),
            head::ID.into(),
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
        ]
    }

    fn bind<'q>(
        &'q self,
        query: Query<'q, Postgres, PgArguments>,
        from: &'q Head,
        to: &'q Head,
    ) -> Query<'q, Postgres, PgArguments> {
        query
            .bind(to.sequence)
            .bind(&to.digest)
            .bind(head::ID)
            .bind(from.sequence)
            .bind(&from.digest)
            .bind(&self.sequence)
            .bind(&self.occurred_at)
            .bind(&self.actor)
            .bind(&self.action)
            .bind(&self.has_subject)
            .bind(&self.subject_id)
            .bind(&self.attributes)
            .bind(&self.target)
            .bind(&self.request_id)
            .bind(&self.outcome)
            .bind(&self.previous_digest)
            .bind(&self.digest)
    }
}
