//! Connections that are not to be used any more, since something has shown that they may be wrong.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use sea_orm::{DatabaseConnection, DbBackend};

/// How long nothing is suspected after a new connection turned out to be no better. While only a standby can be reached, each write
/// would otherwise close the connections that others read through.
const PAUSE: Duration = Duration::from_secs(1);

/// The pools of this process, and what is suspected of theirs. By the database's name: what is wrong with one pool's
/// connections is wrong with those of another one to the same database.
static POOLS: Mutex<Vec<(String, Weak<Suspects>)>> = Mutex::new(Vec::new());

/// Which of a pool's connections are closed instead of handed out.
#[derive(Debug, Default)]
pub(super) struct Suspects(Mutex<Moments>);

#[derive(Debug, Default)]
struct Moments {
    /// Suspects are those that were opened before.
    suspected: Option<Instant>,
    /// Until then, there are no more of them.
    spared_until: Option<Instant>,
}

impl Suspects {
    /// Whether a connection of this age is one of them.
    pub(super) fn include(&self, age: Duration) -> bool {
        self.moments().suspected.is_some_and(|moment| moment.elapsed() <= age)
    }

    /// Whether there were none a moment before; nothing while they are [spared](spare_all).
    fn add_all(&self) -> Option<bool> {
        let (mut moments, now) = (self.moments(), Instant::now());
        if moments.spared_until.is_some_and(|end| now < end) {
            return None;
        }
        Some(moments.suspected.replace(now).is_none_or(|last| now - last > PAUSE))
    }

    fn moments(&self) -> MutexGuard<'_, Moments> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From now on, these are the suspects among the connections of `db`.
pub(super) fn watch_over(db: &DatabaseConnection, suspects: &Arc<Suspects>) {
    let mut pools = pools();
    pools.retain(|(_, suspects)| suspects.strong_count() > 0);
    pools.push((name(db), Arc::downgrade(suspects)));
}

/// Suspects all connections that the database has now: they are closed when somebody asks for one. Whether it does: not while they
/// are [spared](spare_all).
pub(super) fn suspect_all(db: &DatabaseConnection, why: &str) -> bool {
    let mut outcomes = Vec::new();
    for_each(db, |suspects| outcomes.push(suspects.add_all()));
    if outcomes.contains(&Some(true)) {
        tracing::warn!("{why}; the connections to the database are closed, and others opened");
    } else {
        tracing::debug!("{why}");
    }
    outcomes.iter().any(Option::is_some)
}

/// Suspects nothing for a moment: what is wrong with the connections is so with new ones.
pub(super) fn spare_all(db: &DatabaseConnection) {
    for_each(db, |suspects| suspects.moments().spared_until = Some(Instant::now() + PAUSE));
}

/// The suspects of each pool that leads to this database.
fn for_each(db: &DatabaseConnection, mut what: impl FnMut(&Suspects)) {
    let name = name(db);
    for suspects in pools().iter().filter(|(known, _)| *known == name).filter_map(|(_, pool)| pool.upgrade())
    {
        what(&suspects);
    }
}

fn pools() -> MutexGuard<'static, Vec<(String, Weak<Suspects>)>> {
    POOLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a pool leads to.
fn name(db: &DatabaseConnection) -> String {
    match db.get_database_backend() {
        DbBackend::Postgres => {
            let options = db.get_postgres_connection_pool().connect_options();
            let (host, port) = (options.get_host(), options.get_port());
            format!("{host} {port} {:?} {:?}", options.get_socket(), options.get_database())
        }
        _ => db.get_sqlite_connection_pool().connect_options().get_filename().display().to_string(),
    }
}
