//! A failover: connections that lead to a server which takes no writes, or none any more.

use std::error::Error;

use sea_orm::{DatabaseConnection, DbBackend, DbErr, RuntimeErr, sqlx};

use super::suspects::{spare_all, suspect_all};

/// An error that may come from the database.
pub trait MayBeDatabases {
    /// The database's error, if it is one.
    fn database_error(&self) -> Option<&DbErr>;
}

impl MayBeDatabases for DbErr {
    fn database_error(&self) -> Option<&DbErr> {
        Some(self)
    }
}

/// Makes a change on the primary: if it was begun on a server that only reads, once more, on a new connection.
///
/// Only then: a transaction that only reads has not written anything. Of a connection that breaks, nobody knows how far it came.
///
/// # Errors
///
/// The last attempt's.
pub async fn on_the_primary<T, E: MayBeDatabases, F: Future<Output = Result<T, E>>>(
    db: &DatabaseConnection,
    change: impl Fn() -> F,
) -> Result<T, E> {
    let attempt = change().await;
    let Some(suspected) = learn_from_attempt(db, &attempt) else { return attempt };
    let attempt = change().await;
    // On a new connection, if those before were suspects.
    if learn_from_attempt(db, &attempt).is_some() && suspected {
        spare_all(db);
    }
    attempt
}

/// If it was made on a server that only reads, whether the connections that there were are suspects from now on.
fn learn_from_attempt<T, E: MayBeDatabases>(db: &DatabaseConnection, attempt: &Result<T, E>) -> Option<bool> {
    let error = attempt.as_ref().err().and_then(MayBeDatabases::database_error)?;
    let suspected = learn_from(db, error);
    takes_no_writes(error).then_some(suspected)
}

/// Suspects the connections to a database whose error says that they lead to the wrong server, or to one that ends. Whether they are
/// suspects now.
pub(super) fn learn_from(db: &DatabaseConnection, error: &DbErr) -> bool {
    match Refusal::of(error) {
        Some(refusal) if db.get_database_backend() == DbBackend::Postgres => suspect_all(db, refusal.says()),
        _ => false,
    }
}

/// Whether the database says that it only reads, so that nothing was changed. Of one that ends, that is not known: it may have committed
/// before.
#[must_use]
pub fn takes_no_writes(error: &DbErr) -> bool {
    Refusal::of(error) == Some(Refusal::ReadOnly)
}

/// What makes all connections that were opened before suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The server is a standby, or set to reading only.
    ReadOnly,
    /// The server ends, or begins.
    Ending,
    /// The connection broke. Mostly others did, too.
    Lost,
}

impl Refusal {
    /// By the error's class: <https://www.postgresql.org/docs/current/errcodes-appendix.html>. CockroachDB, too, answers 57P01 on a node that
    /// shuts down: <https://github.com/ory/hydra/issues/3432>.
    pub(super) fn of(error: &DbErr) -> Option<Self> {
        match sqlx_error(error)? {
            sqlx::Error::Database(error) => match &*error.code()? {
                // read_only_sql_transaction
                "25006" => Some(Self::ReadOnly),
                // admin_shutdown, crash_shutdown, cannot_connect_now
                "57P01" | "57P02" | "57P03" => Some(Self::Ending),
                _ => None,
            },
            sqlx::Error::Io(_) => Some(Self::Lost),
            _ => None,
        }
    }

    pub(super) fn says(self) -> &'static str {
        match self {
            Self::ReadOnly => "the database only reads, as a standby does",
            Self::Ending => "the database shuts down, or starts",
            Self::Lost => "a connection to the database broke",
        }
    }
}

/// The driver's error below SeaORM's.
pub(super) fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => error.source()?.downcast_ref(),
    }
}
