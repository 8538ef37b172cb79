use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, IsolationLevel,
    QueryResult, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
    sqlx::error::ErrorKind,
};

use super::{
    primary::{Refusal, learn_from, sqlx_error},
    suspects::suspect_all,
};

/// Begins a transaction that will write.
///
/// On SQLite it takes the write lock at once: one that read first and wrote later would fail instead of
/// waiting when another wrote in between.
///
/// # Errors
///
/// The database's error. On a connection that broke, or to a server that ends, nothing was begun: it is tried once more, on a
/// new one.
pub async fn begin_write(db: &DatabaseConnection) -> Result<WriteTransaction, DbErr> {
    match WriteTransaction::begin(db).await {
        Err(error) if Refusal::of(&error).is_some() => WriteTransaction::begin(db).await,
        begun => begun,
    }
}

/// How a transaction that writes is begun.
///
/// On PostgreSQL at READ COMMITTED, whatever the database's, the role's or the server's `default_transaction_isolation`: a transaction that waited for
/// the lock of a row then reads what the other one wrote, where a stricter level fails. Each transaction says so itself: behind a pooler in
/// transaction mode, a session's setting is somebody else's.
///
/// `default_transaction_read_only` is left as it is: with it, operators keep a server from writing.
pub(super) fn write_options(db: &DatabaseConnection) -> TransactionOptions {
    let on_sqlite = db.get_database_backend() == DbBackend::Sqlite;
    TransactionOptions {
        isolation_level: (!on_sqlite).then_some(IsolationLevel::ReadCommitted),
        sqlite_transaction_mode: on_sqlite.then_some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// A transaction that writes, and looks at its own errors. After one that was no ordinary one, no connection is used any more that
/// could be the wrong one:
///
/// - On SQLite, after every error but a violated constraint: it may have rolled back by itself, and the driver would not know. So
///   also after a statement that was cut off.
/// - On PostgreSQL, after those that say that the server is not the primary, or ends.
///
/// All statements go through it: so it does not give out the [`DatabaseTransaction`] within.
#[derive(Debug)]
pub struct WriteTransaction {
    // Dropped first: before the connection is free again.
    lookout: Lookout,
    transaction: DatabaseTransaction,
}

impl WriteTransaction {
    async fn begin(db: &DatabaseConnection) -> Result<Self, DbErr> {
        let lookout = Lookout { db: db.clone(), is_sound: AtomicBool::new(true) };
        let transaction = lookout.over(db.begin_with_options(write_options(db))).await?;
        Ok(Self { lookout, transaction })
    }

    /// Makes it last.
    ///
    /// # Errors
    ///
    /// The database's error. It may last all the same, if only the answer was lost.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.lookout.over(self.transaction.commit()).await
    }

    /// Undoes it.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.lookout.over(self.transaction.rollback()).await
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for WriteTransaction {
    fn get_database_backend(&self) -> DbBackend {
        self.transaction.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.lookout.over(self.transaction.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.lookout.over(self.transaction.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.lookout.over(self.transaction.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.lookout.over(self.transaction.query_all_raw(statement)).await
    }
}

/// Sees what becomes of a transaction's statements.
#[derive(Debug)]
struct Lookout {
    db: DatabaseConnection,
    /// Whether all is done, and nothing failed but constraints.
    is_sound: AtomicBool,
}

impl Lookout {
    async fn over<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        // It stays so if the statement is cut off.
        let was_sound = self.is_sound.swap(false, Ordering::Relaxed);
        let done = statement.await;
        if done.as_ref().err().is_none_or(is_ordinary) {
            self.is_sound.store(was_sound, Ordering::Relaxed);
        }
        if let Err(error) = &done {
            learn_from(&self.db, error);
        }
        done
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        if self.db.get_database_backend() == DbBackend::Sqlite && !self.is_sound.load(Ordering::Relaxed) {
            suspect_all(&self.db, "a transaction failed, and SQLite may have rolled back by itself");
        }
    }
}

/// Whether a statement outside of a [`WriteTransaction`] failed since somebody else wrote the same meanwhile, which only levels above READ
/// COMMITTED complain of.
pub fn is_overtaken(error: &DbErr) -> bool {
    let error = sqlx_error(error).and_then(sea_orm::sqlx::Error::as_database_error);
    // serialization_failure
    error.is_some_and(|error| error.code().as_deref() == Some("40001"))
}

/// Whether a transaction was undone since it and another one waited for each other. It can be begun again.
#[must_use]
pub fn is_deadlock(error: &DbErr) -> bool {
    let error = sqlx_error(error).and_then(sea_orm::sqlx::Error::as_database_error);
    // deadlock_detected
    error.is_some_and(|error| error.code().as_deref() == Some("40P01"))
}

/// Whether a statement failed as statements do: a constraint was violated; or there was no connection, so that none can be the wrong one.
fn is_ordinary(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) => true,
        _ => sqlx_error(error)
            .and_then(sea_orm::sqlx::Error::as_database_error)
            .is_some_and(|error| !matches!(error.kind(), ErrorKind::Other)),
    }
}
