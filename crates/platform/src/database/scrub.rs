//! SQLite's write-ahead log: emptied after somebody was forgotten, since until then it holds the old pages.
//!
//! Emptying it takes a moment in which nobody reads what stands in it. If that does not come at once, it is tried again in the background,
//! by one task for each database, for as long as the database is open; and the last connection of all that is closed empties it, too.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{DatabaseConnection, DbBackend, DbErr, sqlx};

use super::BUSY_TIMEOUT;

/// How long an attempt waits for readers while somebody waits for its end. Nobody can write meanwhile.
const PATIENCE: Duration = Duration::from_millis(200);

/// The same in the background, at most.
const LONGEST_PATIENCE: Duration = Duration::from_secs(1);

/// The time between the first attempt in the background and the next. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What there is to say if [`close`] answers `false`.
pub const STILL_IN_THE_LOG: &str = "another process has the database open, so its write-ahead log may still hold what was forgotten; the next forgetting empties it, the next start of a server, or the last process that closes the database";

/// How often [`close`] looks whether the background is done.
const LOOK: Duration = Duration::from_millis(20);

/// The logs of the databases that this process has forgotten somebody in, by the database's file.
static LOGS: Mutex<Option<HashMap<PathBuf, Arc<Log>>>> = Mutex::new(None);

/// Moves what was overwritten from SQLite's write-ahead log into the main file, and empties the log.
///
/// After a forgetting. Somebody who reads just then can hold it up, and is waited for a moment only; then it is tried again in the
/// background. Elsewhere there is nothing to do here.
pub async fn scrub(db: &DatabaseConnection) {
    let Some(log) = Log::of(db) else { return };
    let request = log.request();
    let turn = log.turn.lock().await;
    if log.moments().tried >= request {
        // Somebody began after we asked. If it was in vain, the background has it.
        return;
    }
    if !log.attempt(db, PATIENCE).await && log.is_first_to_retry() {
        tracing::warn!(
            "the write-ahead log could not be emptied at once, as the database is read; until it is, it may hold what was forgotten; it is tried again"
        );
        tokio::spawn(retry(log.clone(), db.clone()));
    }
    drop(turn);
}

/// Closes the database. While its log still has to be emptied, that is waited for, up to `patience`. Whether the log is empty of what this
/// process forgot, as far as can be told.
///
/// # Errors
///
/// The database's error.
pub async fn close(db: DatabaseConnection, patience: Duration) -> Result<bool, DbErr> {
    let Some(log) = Log::of(&db) else { return db.close().await.map(|()| true) };
    let until = Instant::now() + patience;
    while log.is_owed() && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
    let is_owed = log.is_owed();
    db.close().await?;
    // If nobody else has the database open, the last connection has emptied the log and removed it.
    Ok(!is_owed || !log.has_content())
}

/// Until the log is empty, or the pool is closed.
async fn retry(log: Arc<Log>, db: DatabaseConnection) {
    let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        tokio::time::sleep(pause).await;
        let _turn = log.turn.lock().await;
        if db.get_sqlite_connection_pool().is_closed() {
            return log.moments().retries = false;
        }
        if log.is_owed() {
            log.attempt(&db, (pause / 4).clamp(PATIENCE, LONGEST_PATIENCE)).await;
        }
        if log.ends_retry() {
            let seconds = began.elapsed().as_secs_f64();
            tracing::info!(seconds, "the write-ahead log is emptied of what was forgotten");
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Of one database.
#[derive(Debug)]
struct Log {
    file: PathBuf,
    /// One attempt at a time: a second one could only fail.
    turn: tokio::sync::Mutex<()>,
    moments: Mutex<Moments>,
}

/// Counted in requests: the last of those that were made, that an attempt began after, that were fulfilled.
#[derive(Debug, Default)]
struct Moments {
    wanted: u64,
    tried: u64,
    done: u64,
    /// Whether the background tries again.
    retries: bool,
}

impl Log {
    /// `None` if the database has none of the kind.
    fn of(db: &DatabaseConnection) -> Option<Arc<Self>> {
        if db.get_database_backend() != DbBackend::Sqlite {
            return None;
        }
        let database = db.get_sqlite_connection_pool().connect_options().get_filename().to_owned();
        let mut logs = LOGS.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let mut file = database.clone().into_os_string();
            file.push("-wal");
            Arc::new(Self {
                file: file.into(),
                turn: tokio::sync::Mutex::default(),
                moments: Mutex::default(),
            })
        };
        Some(logs.get_or_insert_default().entry(database.clone()).or_insert_with(new).clone())
    }

    fn request(&self) -> u64 {
        let mut moments = self.moments();
        moments.wanted += 1;
        moments.wanted
    }

    /// Whether the log is empty now of all that was asked for before.
    async fn attempt(&self, db: &DatabaseConnection, patience: Duration) -> bool {
        let covered = self.moments().wanted;
        let emptied = empty(db, patience).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the write-ahead log could not be emptied");
            false
        });
        let mut moments = self.moments();
        moments.tried = covered;
        if emptied {
            moments.done = covered;
        }
        emptied
    }

    fn is_owed(&self) -> bool {
        let moments = self.moments();
        moments.done < moments.wanted
    }

    fn is_first_to_retry(&self) -> bool {
        !std::mem::replace(&mut self.moments().retries, true)
    }

    /// Whether nothing is left to retry. Then the next task that fails begins anew.
    fn ends_retry(&self) -> bool {
        let mut moments = self.moments();
        moments.retries = moments.done < moments.wanted;
        !moments.retries
    }

    fn has_content(&self) -> bool {
        Path::metadata(&self.file).is_ok_and(|file| file.len() > 0)
    }

    fn moments(&self) -> MutexGuard<'_, Moments> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the log is empty now. The statement answers `busy = 1` instead of failing.
async fn empty(db: &DatabaseConnection, patience: Duration) -> Result<bool, sqlx::Error> {
    let mut connection = db.get_sqlite_connection_pool().acquire().await?;
    let wait = format!("PRAGMA busy_timeout = {}", patience.as_millis());
    sqlx::query(sqlx::AssertSqlSafe(wait)).execute(&mut *connection).await?;
    let emptied: Result<(i64, i64, i64), _> =
        sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
    sqlx::query(BUSY_TIMEOUT).execute(&mut *connection).await?;
    emptied.map(|(busy, _, _)| busy == 0)
}
