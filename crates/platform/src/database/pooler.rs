//! A pooler between us and PostgreSQL: whether a session is ours, or each transaction may get another one.
//!
//! In transaction mode, a pooler hands the connections to PostgreSQL around. The driver's prepared statements have names that are counted on each
//! connection, and that must mean the same in the next transaction: some poolers see to that, others do not.

use std::time::Duration;

use sea_orm::sqlx::{
    self, ConnectOptions, Connection, Executor, PgConnection, PgPool, error::DatabaseError,
    postgres::PgConnectOptions,
};
use tokio::time::{error::Elapsed, timeout};

/// How often it is looked. One look is enough, unless others use the pooler just then.
const LOOKS: u32 = 3;

/// How long all of it may take. A pooler may have no second connection.
const TIMEOUT: Duration = Duration::from_secs(5);

const WHO: &str = "SELECT pg_backend_pid()";

/// Whose the sessions of PostgreSQL are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// Ours, for as long as we are connected.
    Own,
    /// Each transaction may get another one. So nothing can be set in them or listened to.
    Shared,
}

/// Why that cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum PoolerError {
    /// The driver cannot work so.
    #[error("the pooler mixes up the prepared statements of its clients")]
    Statements(#[source] sqlx::Error),
    /// The database, or the pooler.
    #[error(transparent)]
    Database(sqlx::Error),
    /// There was no answer.
    #[error("the database took too long")]
    Slow(#[from] Elapsed),
}

/// Looks through two connections beside those of the pool.
///
/// # Errors
///
/// [`PoolerError`].
pub async fn sessions(pool: &PgPool) -> Result<Sessions, PoolerError> {
    timeout(TIMEOUT, look(&pool.connect_options())).await?.map_err(|error| {
        // duplicate_prepared_statement, invalid_sql_statement_name
        let code = error.as_database_error().and_then(DatabaseError::code);
        if matches!(code.as_deref(), Some("42P05" | "26000")) {
            PoolerError::Statements(error)
        } else {
            PoolerError::Database(error)
        }
    })
}

async fn look(options: &PgConnectOptions) -> Result<Sessions, sqlx::Error> {
    let (mut one, mut other) = (options.connect().await?, options.connect().await?);
    let mut sessions = Sessions::Own;
    for _ in 0..LOOKS {
        let first = who(&mut one).await?;
        other.execute("BEGIN").await?;
        // In transaction mode, mostly the one that has just become free; if not, ours is no longer to be had. Either is
        // told, or a statement fails.
        let seen = if who(&mut other).await? == first { None } else { Some(who(&mut one).await?) };
        other.execute("COMMIT").await?;
        if seen != Some(first) {
            sessions = Sessions::Shared;
            break;
        }
    }
    one.close().await?;
    other.close().await?;
    Ok(sessions)
}

async fn who(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar(WHO).fetch_one(connection).await
}
