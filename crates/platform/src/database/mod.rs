//! The connection to the database, and whether its schema is the one this release needs.

mod bulk;
mod clock;
mod config;
mod durability;
mod migrate;
mod one_of;
mod pooler;
mod primary;
mod scrub;
mod suspects;
mod together;
mod transaction;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement,
    sqlx::{self, Connection, SqliteConnection, sqlite::SqliteConnectOptions},
};
use secrecy::ExposeSecret;

pub use bulk::{insert_new_together, insert_together};
pub use clock::{Before, clock, now, read_clock};
pub use config::{DatabaseConfig, DatabaseUrlError};
pub use durability::warn_of_loss;
pub use migrate::{migrate, migrate_telling, pending_migrations, require_current_schema};
pub use one_of::one_of;
pub use pooler::{PoolerError, Sessions, sessions};
pub use primary::{MayBeDatabases, on_the_primary, takes_no_writes};
pub use scrub::scrub;
pub use scrub::{STILL_IN_THE_LOG, close};
pub use together::{Found, Together};
pub use transaction::{WriteTransaction, begin_write, is_deadlock, is_overtaken};

use self::{
    migrate::is_busy,
    primary::Refusal,
    suspects::{Suspects, suspect_all, watch_over},
};
use crate::{causes, redaction};

/// How long a write waits for another one, on SQLite: as [`connect`] sets it.
const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 30000";

/// How long an SQLite file is opened again and again that others open for the first time, and after what pause.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);
const OPEN_PAUSE: Duration = Duration::from_millis(50);

/// A connection that was idle for this long is pinged before it is used again.
const PING_AFTER: Duration = Duration::from_secs(1);

/// Connects to the configured database. Makes the folder of an SQLite file that may be created.
///
/// # Errors
///
/// [`DatabaseError`] names the database, without its password.
pub async fn connect(config: &DatabaseConfig) -> Result<DatabaseConnection, DatabaseError> {
    let url = config.url()?;
    let named = |source: DbErr| {
        let redacted = redaction::url(url.expose_secret());
        DatabaseError::Connect { source: without_url(source, url.expose_secret(), &redacted), url: redacted }
    };
    if url.expose_secret().starts_with("sqlite:") {
        make_folder(url.expose_secret()).map_err(|error| named(DbErr::Custom(error.to_string())))?;
    }
    let suspects = Arc::new(Suspects::default());
    let (on_sqlite, on_postgres) = (suspects.clone(), suspects.clone());
    let mut options = ConnectOptions::new(url.expose_secret());
    options
        .max_connections(config.max_connections.get())
        .connect_timeout(config.connect_timeout)
        .acquire_timeout(config.connect_timeout)
        // A ping before every statement would double the round trips of a read.
        .test_before_acquire_if_idle_for(PING_AFTER)
        .sqlx_logging_level(log::LevelFilter::Trace)
        // Nothing of ours is a float, and a pooler that does not know this parameter refuses the connection.
        .map_sqlx_postgres_opts(|postgres| postgres.extra_float_digits(None))
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .pragma("journal_mode", "WAL")
                .pragma("synchronous", "NORMAL")
                .busy_timeout(Duration::from_secs(30))
                // What is deleted is overwritten, so that a forgotten subject's wrapped key does not
                // live on in a free page.
                .pragma("secure_delete", "ON")
        })
        .map_sqlx_sqlite_before_acquire(move |connection, known| {
            let is_suspect = on_sqlite.include(known.age);
            Box::pin(async move { Ok(is_outside_a_transaction(connection).await? && !is_suspect) })
        })
        .map_sqlx_postgres_before_acquire(move |_, known| {
            let is_suspect = on_postgres.include(known.age);
            Box::pin(async move { Ok(!is_suspect) })
        });
    let db = open(options).await.map_err(named)?;
    watch_over(&db, &suspects);
    if db.get_database_backend() == DbBackend::Postgres {
        match sessions(db.get_postgres_connection_pool()).await {
            Ok(_) => {}
            Err(PoolerError::Statements(source)) => return Err(DatabaseError::Pooler(source)),
            Err(error @ PoolerError::Slow(_)) => {
                tracing::warn!(
                    "whether there is a pooler that mixes up prepared statements is not known: {error}"
                );
            }
            // What is wrong shows itself where the database is needed.
            Err(error) => tracing::debug!("whether there is a pooler is not known: {}", causes::line(&error)),
        }
    }
    Ok(db)
}

/// Opens a pool. Several that open a new SQLite file at the same time all switch it to a write-ahead log, and who is not the first is told that
/// it is locked, whatever `busy_timeout` says: <https://www.sqlite.org/wal.html>. That passes.
async fn open(options: ConnectOptions) -> Result<DatabaseConnection, DbErr> {
    let on_sqlite = options.get_url().starts_with("sqlite:");
    let began = Instant::now();
    loop {
        match Database::connect(options.clone()).await {
            Err(error) if on_sqlite && is_busy(&error) && began.elapsed() < OPEN_PATIENCE => {}
            opened => return opened,
        }
        tokio::time::sleep(OPEN_PAUSE).await;
    }
}

/// Whether an idle connection to SQLite may be handed out again.
///
/// At some errors (a full disk, an I/O error, no memory) SQLite rolls back by itself:
/// <https://www.sqlite.org/lang_transaction.html>, section 3. The driver's own ROLLBACK then fails, since there is no transaction any
/// more, and the driver counts on from the one it believes to be in. So the next transaction would be a savepoint, its commit would
/// release that savepoint only, and what was acknowledged would be lost. Such a connection is closed.
///
/// Needed with sqlx-sqlite 0.9.0: a ROLLBACK that fails leaves `transaction_depth` as it was (`connection/worker.rs`,
/// `Command::Rollback`).
async fn is_outside_a_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    // A ROLLBACK may still wait for its turn, and a ping comes after it.
    connection.ping().await?;
    let outside = !connection.is_in_transaction();
    if !outside {
        tracing::warn!("SQLite rolled back by itself; the connection is closed, and another one opened");
    }
    Ok(outside)
}

/// Whether the database takes writes now: writes, and changes nothing. A disk may be full, and a primary may have become
/// a standby, while reading goes on.
///
/// # Errors
///
/// The database's error; also if it only reads.
pub async fn require_writable(db: &DatabaseConnection) -> Result<(), DbErr> {
    if db.get_database_backend() == DbBackend::Sqlite {
        // To the first page of the file, which every transaction depends on. Nobody uses the number.
        return db.execute_unprepared("PRAGMA user_version = 0").await.map(drop);
    }
    let row = db
        .query_one_raw(Statement::from_string(db.get_database_backend(), "SHOW transaction_read_only"))
        .await?;
    let read_only: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?;
    if read_only.as_deref() == Some("off") {
        return Ok(());
    }
    // A failover may have moved the address meanwhile.
    suspect_all(db, Refusal::ReadOnly.says());
    Err(DbErr::Custom("the database only reads".to_owned()))
}

/// An URL that the driver cannot make sense of stands in its error, password and all.
fn without_url(error: DbErr, url: &str, redacted: &str) -> DbErr {
    let text = error.to_string();
    if !url.is_empty() && text.contains(url) { DbErr::Custom(text.replace(url, redacted)) } else { error }
}

fn make_folder(sqlite_url: &str) -> std::io::Result<()> {
    // What the driver cannot make sense of, it says itself.
    let Ok(options) = sqlite_url.parse::<SqliteConnectOptions>() else { return Ok(()) };
    match options.get_filename().parent() {
        Some(folder) if sqlite_url.contains("mode=rwc") && !folder.as_os_str().is_empty() => {
            std::fs::create_dir_all(folder)
        }
        _ => Ok(()),
    }
}

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Where it is cannot be told.
    #[error(transparent)]
    Url(#[from] DatabaseUrlError),
    /// It does not answer, or refuses.
    #[error("cannot connect to the database {url}")]
    Connect {
        /// The database, without its password.
        url: String,
        /// Why not.
        source: DbErr,
    },
    /// The driver cannot work through it.
    #[error(
        "the database is behind a pooler that hands connections around between transactions and mixes up prepared statements: set pool_mode = session, or, with PgBouncer 1.21 or newer, max_prepared_statements = 200; see docs/operations.md#poolers"
    )]
    Pooler(#[source] sqlx::Error),
    /// Its schema cannot be read or changed.
    #[error("the database's schema cannot be read or migrated")]
    Migrate(#[source] DbErr),
    /// Its schema is older than this release.
    #[error(
        "the database's schema is outdated, {pending} migration(s) behind this release: run `oubliette-admin migrate`"
    )]
    Outdated {
        /// How many migrations are missing.
        pending: usize,
    },
}
