//! The schema, and how it is brought to this release's: by one process at a time.
//!
//! Each migration is a transaction of its own, which holds a lock: on PostgreSQL on a row, which every database that speaks its protocol has,
//! and every pooler leaves alone; on SQLite the write lock. A process that does not get it waits. The one that gets it looks anew what is to be done.
//! See `docs/decisions/0029-one-migrates.md`.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use tokio::time::{Instant, interval_at, sleep};

use super::{
    DatabaseError,
    primary::sqlx_error,
    transaction::{begin_write, write_options},
};

/// How often somebody who waits looks whether it is their turn.
const LOOK: Duration = Duration::from_millis(100);

/// How long somebody waits before they say so, and again.
const SILENCE: Duration = Duration::from_secs(5);

const WAITS: &str = "another process migrates the database's schema; its end is waited for";

/// The table whose one row is locked while a migration is made. Made outside of the migrations, since the first of them needs it.
const MAKE_TURN: &str = "CREATE TABLE IF NOT EXISTS migration_turn (id smallint NOT NULL PRIMARY KEY)";
const FILL_TURN: &str = "INSERT INTO migration_turn (id) VALUES (1) ON CONFLICT DO NOTHING";
const TAKE_TURN: &str = "SELECT id FROM migration_turn WHERE id = 1 FOR UPDATE SKIP LOCKED";

/// How often it is tried to make it, while others make it.
const ATTEMPTS: u32 = 10;

/// Brings the schema to this release's, and gives the names of the migrations that were made: other processes may make some of them.
///
/// # Errors
///
/// The database's error.
pub async fn migrate<M: MigratorTrait>(db: &DatabaseConnection) -> Result<Vec<String>, DatabaseError> {
    migrate_telling::<M>(db, |waits| tracing::warn!("{waits}")).await
}

/// The same. If it takes long until others are done, tells so.
///
/// # Errors
///
/// The same.
pub async fn migrate_telling<M: MigratorTrait>(
    db: &DatabaseConnection,
    tell: impl Fn(&'static str),
) -> Result<Vec<String>, DatabaseError> {
    // Who finds nothing to do needs no permission to make tables.
    if pending_migrations::<M>(db).await?.is_empty() {
        return Ok(Vec::new());
    }
    make_turn(db).await.map_err(DatabaseError::Migrate)?;
    let mut made = Vec::new();
    while let Some(name) = after_others::<M>(db, &tell).await.map_err(DatabaseError::Migrate)? {
        made.push(name);
    }
    Ok(made)
}

/// The names of the migrations that are still to be done. Changes nothing.
///
/// # Errors
///
/// [`DatabaseError::Migrate`]; also if the database is newer than this release.
pub async fn pending_migrations<M: MigratorTrait>(
    db: &DatabaseConnection,
) -> Result<Vec<String>, DatabaseError> {
    pending::<M>(db).await.map_err(DatabaseError::Migrate)
}

/// Refuses a schema that is not this release's.
///
/// # Errors
///
/// [`DatabaseError::Outdated`] says what to run.
pub async fn require_current_schema<M: MigratorTrait>(db: &DatabaseConnection) -> Result<(), DatabaseError> {
    let pending = pending_migrations::<M>(db).await?;
    if pending.is_empty() { Ok(()) } else { Err(DatabaseError::Outdated { pending: pending.len() }) }
}

async fn pending<M: MigratorTrait>(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let pending = M::get_pending_migrations_read_only(db).await?;
    Ok(pending.iter().map(|migration| migration.name().to_owned()).collect())
}

/// Two that make a table at the same time do not see each other's, and the second fails: it then finds it.
async fn make_turn(db: &DatabaseConnection) -> Result<(), DbErr> {
    if db.get_database_backend() == DbBackend::Sqlite {
        return Ok(());
    }
    let mut attempt = 1;
    loop {
        match try_make_turn(db).await {
            Err(error) if was_made_by_others(&error) && attempt < ATTEMPTS => attempt += 1,
            made => return made,
        }
        sleep(LOOK).await;
    }
}

async fn try_make_turn(db: &DatabaseConnection) -> Result<(), DbErr> {
    let transaction = begin_write(db).await?;
    transaction.execute_unprepared(MAKE_TURN).await?;
    transaction.execute_unprepared(FILL_TURN).await?;
    transaction.commit().await
}

/// Makes the next migration, and gives its name, once nobody else makes one. `None` if there is nothing left to do.
async fn after_others<M: MigratorTrait>(
    db: &DatabaseConnection,
    tell: &impl Fn(&'static str),
) -> Result<Option<String>, DbErr> {
    let mut told = interval_at(Instant::now() + SILENCE, SILENCE);
    let turn = async {
        loop {
            if let Some(transaction) = take_turn(db).await? {
                return Ok::<_, DbErr>(transaction);
            }
            sleep(LOOK).await;
        }
    };
    tokio::pin!(turn);
    let transaction = loop {
        tokio::select! {
            turn = &mut turn => break turn?,
            _ = told.tick() => tell(WAITS),
        }
    };
    let Some(next) = pending::<M>(&transaction).await?.into_iter().next() else {
        transaction.rollback().await?;
        return Ok(None);
    };
    M::up(&transaction, Some(1)).await?;
    transaction.commit().await?;
    Ok(Some(next))
}

/// A transaction in which nobody else migrates. `None` while somebody does.
async fn take_turn(db: &DatabaseConnection) -> Result<Option<DatabaseTransaction>, DbErr> {
    let on_sqlite = db.get_database_backend() == DbBackend::Sqlite;
    let transaction = match db.begin_with_options(write_options(db)).await {
        Err(error) if on_sqlite && is_busy(&error) => return Ok(None),
        begun => begun?,
    };
    if on_sqlite {
        return Ok(Some(transaction));
    }
    let turn = transaction.query_one_raw(Statement::from_string(DbBackend::Postgres, TAKE_TURN)).await?;
    if turn.is_some() {
        return Ok(Some(transaction));
    }
    transaction.rollback().await?;
    Ok(None)
}

fn was_made_by_others(error: &DbErr) -> bool {
    // unique_violation (of PostgreSQL's own tables), duplicate_table, duplicate_object
    matches!(code(error).as_deref(), Some("23505" | "42P07" | "42710"))
}

/// Whether SQLite says that somebody else has the lock: `SQLITE_BUSY`, in the lower byte of its codes.
pub(super) fn is_busy(error: &DbErr) -> bool {
    let code = code(error).and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xFF == 5)
}

fn code(error: &DbErr) -> Option<String> {
    let code = sqlx_error(error)?.as_database_error()?.code()?;
    Some(code.into_owned())
}
