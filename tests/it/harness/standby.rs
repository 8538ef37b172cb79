//! A primary, a real streaming standby of it, and an address that leads to one of them.
//!
//! Servers know one URL, that of the [`switch`](Replicated::switch), as of a virtual address or a DNS name that a failover moves:
//!
//! ```text
//! server ── switch ─┬─ primary
//!                   └─ standby, streaming from the primary, asynchronously
//! ```
//!
//! How transactions get lost: [`cut_off`](Replicated::cut_off) ends the WAL receiver of the standby, so that what the primary
//! acknowledges from then on never arrives; [`take_over`](Replicated::take_over) stops the primary, promotes the standby, and moves
//! the switch. (To pause the replay would not do: a standby that is promoted replays first what it has received.) The single steps
//! are there, too, for a test that needs another order.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Proxy, postgres::Postgres};

/// Longest wait for what the standby should do at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two servers of a test's own.
#[derive(Debug)]
pub(crate) struct Replicated {
    pub(crate) primary: Postgres,
    pub(crate) standby: Postgres,
    /// Leads to the primary at first.
    pub(crate) switch: Proxy,
}

impl Replicated {
    /// With an empty database of this name, which the standby has, too.
    pub(crate) async fn launch(database: &str) -> Self {
        let primary = Postgres::launch();
        primary.create_database(database);
        let standby = primary.launch_standby();
        let switch = Proxy::start(address(&primary)).await;
        let replicated = Self { primary, standby, switch };
        replicated.catch_up();
        replicated
    }

    /// The URL of a database, through the switch.
    pub(crate) fn url(&self, database: &str) -> String {
        let (own, switched) = (self.primary.port(), self.switch.port());
        self.primary.url(database).replace(&format!(":{own}/"), &format!(":{switched}/"))
    }

    /// Waits until the standby has replayed all that the primary has written.
    pub(crate) fn catch_up(&self) {
        let written = self.primary.psql("postgres", "SELECT pg_current_wal_lsn()");
        let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'");
        wait("the standby catches up", || self.standby.psql("postgres", &replayed) == "t");
    }

    /// From now on, nothing that the primary writes gets to the standby.
    pub(crate) fn cut_off(&self) {
        self.standby.psql("postgres", "ALTER SYSTEM SET primary_conninfo = ''");
        self.standby.psql("postgres", "SELECT pg_reload_conf()");
        let receivers = "SELECT count(*) FROM pg_stat_wal_receiver";
        wait("the WAL receiver ends", || self.standby.psql("postgres", receivers) == "0");
        let senders = "SELECT count(*) FROM pg_stat_replication";
        wait("the WAL sender ends", || self.primary.psql("postgres", senders) == "0");
    }

    /// The standby receives again what it was [cut off](Self::cut_off) from.
    pub(crate) fn attach(&self) {
        let from = self.primary.conninfo();
        self.standby.psql("postgres", &format!("ALTER SYSTEM SET primary_conninfo = '{from}'"));
        self.standby.psql("postgres", "SELECT pg_reload_conf()");
    }

    /// The standby becomes a primary. Sessions that it has stay, and may write from now on.
    pub(crate) fn promote(&self) {
        assert_eq!(self.standby.psql("postgres", "SELECT pg_promote()"), "t");
    }

    /// New connections through the switch lead to the standby. Those that there are stay.
    pub(crate) fn switch_over(&self) {
        self.switch.lead_to(address(&self.standby));
    }

    /// New connections through the switch lead to the primary again. Those that there are stay.
    pub(crate) fn switch_back(&self) {
        self.switch.lead_to(address(&self.primary));
    }

    /// A whole failover: the primary ends, and the standby takes its place.
    pub(crate) fn take_over(&self) {
        self.primary.stop();
        self.promote();
        self.switch_over();
        self.switch.drop_connections();
    }
}

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "waited too long: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn address(server: &Postgres) -> String {
    format!("127.0.0.1:{}", server.port())
}
