use std::{future::pending, time::Duration};

use sea_orm::{DatabaseConnection, DbBackend, DbErr};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{PeerMetrics, listener::listen, metrics::LearnedBy};
use crate::{
    causes,
    chain::Head,
    config::PeersConfig,
    keys::Keyring,
    ledger::{
        self, News,
        rollbacks::{self, Rollback},
    },
    users::{LedgerWatcher, Users},
};

/// How long a look into the ledger may take. One that hangs must not be the last one.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Follows the erasure ledger, and evicts the data keys of the subjects that were forgotten.
#[derive(Debug)]
pub struct PeerWatch {
    db: DatabaseConnection,
    users: Users,
    keyring: Keyring,
    config: PeersConfig,
    metrics: PeerMetrics,
    /// All before it is evicted.
    place: Head,
    /// Whether the last look failed, and the log says so.
    failing: bool,
    /// Rollbacks that this server has noticed, and nobody has adopted.
    noticed: Vec<Rollback>,
    /// Whether one of them cannot be stored, and the log says so.
    unstored: bool,
}

impl PeerWatch {
    /// Begins at the end of the ledger. Call before the keyring opens any key.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn begin(
        db: DatabaseConnection,
        users: Users,
        keyring: Keyring,
        config: PeersConfig,
        metrics: PeerMetrics,
    ) -> Result<Self, DbErr> {
        let place = ledger::end(&db).await?;
        let (noticed, unstored) = (Vec::new(), false);
        let mut watch =
            Self { db, users, keyring, config, metrics, place, failing: false, noticed, unstored };
        watch.ask_for_rollbacks().await?;
        watch.metrics.looked();
        Ok(watch)
    }

    /// Follows the ledger, for as long as the future is polled.
    pub async fn follow(mut self) {
        let heard = Notify::new();
        let (db, metrics) = (self.db.clone(), self.metrics.clone());
        let can_listen = self.config.notify && db.get_database_backend() == DbBackend::Postgres;
        let listening = async {
            if can_listen {
                listen(db.get_postgres_connection_pool(), &heard, &metrics).await;
            }
            pending::<()>().await;
        };
        tokio::select! {
            () = listening => {}
            () = self.look_whenever(&heard) => {}
        }
    }

    async fn look_whenever(&mut self, heard: &Notify) {
        let mut ticks = interval(self.config.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let learned_by = tokio::select! {
                () = heard.notified() => LearnedBy::Notification,
                _ = ticks.tick() => LearnedBy::Poll,
            };
            let looked = timeout(TIMEOUT, self.look(learned_by)).await;
            self.report(looked.unwrap_or_else(|_| Err(DbErr::Custom("no answer in time".to_owned()))));
        }
    }

    /// Reads the ledger to its end. What was read stays read, even if the rest cannot be.
    async fn look(&mut self, learned_by: LearnedBy) -> Result<(), DbErr> {
        loop {
            match ledger::after(&self.db, &self.place).await? {
                News::Nothing => break,
                News::Erased(entries, place) => {
                    for entry in entries {
                        self.keyring.evict(entry.subject, entry.destroyed).await;
                        self.metrics.learned(learned_by, entry.erased_at);
                    }
                    self.place = place;
                }
                News::Replaced(end) if ledger::has_moved(&self.db, &self.place).await? => {
                    // It stands elsewhere, behind entries that were brought in. Whom those name is not followed here.
                    self.keyring.evict_all().await;
                    self.place = end;
                }
                News::Replaced(end) => {
                    let rollback = Rollback::notice(&self.place, &end, &this_server());
                    complain(&rollback);
                    self.noticed.push(rollback);
                    self.place = end;
                    self.distrust().await;
                }
            }
        }
        self.ask_for_rollbacks().await
    }

    /// Trusts the ledger if no rollback waits for an operator: none in the database, and none that only this server knows of.
    async fn ask_for_rollbacks(&mut self) -> Result<(), DbErr> {
        let mut stored = rollbacks::waiting_or(&self.db, &self.noticed).await?;
        if rollbacks::settle_those_kept(&self.db, &stored).await? {
            stored = rollbacks::waiting_or(&self.db, &self.noticed).await?;
        }
        let find = |noticed: &Rollback| stored.iter().find(|other| other.row().id == noticed.row().id);
        self.noticed.retain(|noticed| !find(noticed).is_some_and(Rollback::is_adopted));
        let missing: Vec<_> =
            self.noticed.iter().filter(|noticed| find(noticed).is_none()).cloned().collect();
        let mut waiting: Vec<_> = stored.into_iter().filter(|rollback| !rollback.is_adopted()).collect();
        for rollback in missing {
            match rollbacks::store(&self.db, &rollback).await {
                Ok(true) => waiting.push(rollback),
                // Nothing is gone.
                Ok(false) => self.noticed.retain(|noticed| *noticed != rollback),
                Err(error) => {
                    if !std::mem::replace(&mut self.unstored, true) {
                        tracing::warn!(
                            "that the erasure ledger went back cannot be stored; it is tried again: {}",
                            causes::line(&error)
                        );
                    }
                    waiting.push(rollback);
                    continue;
                }
            }
            self.unstored = false;
        }
        if waiting.is_empty() {
            self.metrics.ledger_rolled_back.set(0);
            if self.users.trust_ledger(LedgerWatcher::Peers, true) {
                tracing::info!("the erasure ledger is trusted again; personal data is answered");
            }
        } else if self.distrust().await {
            // Others have noticed.
            waiting.iter().for_each(complain);
        }
        Ok(())
    }

    /// Answers nothing personal any more. Whether that is new.
    async fn distrust(&self) -> bool {
        let is_new = self.users.trust_ledger(LedgerWatcher::Peers, false);
        self.metrics.ledger_rolled_back.set(1);
        if is_new {
            // Whom it does not name any more cannot be told; nor whether a key still fits.
            self.keyring.evict_all().await;
        }
        is_new
    }

    fn report(&mut self, looked: Result<(), DbErr>) {
        match looked {
            Ok(()) => {
                self.metrics.looked();
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the erasure ledger can be read again, and was");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(
                        "the erasure ledger cannot be read; who is forgotten elsewhere stays in the cache meanwhile: {}",
                        causes::line(&error)
                    );
                }
            }
        }
    }
}

fn complain(rollback: &Rollback) {
    tracing::error!(
        "the erasure ledger went back, as after a failover or a restored backup: {rollback}; nothing personal is answered until an operator runs `oubliette-admin ledger adopt`"
    );
}

/// For people who look for the server that noticed something.
fn this_server() -> String {
    let host = whoami::hostname().unwrap_or_else(|_| "unknown".to_owned());
    format!("{host}, process {}", std::process::id())
}
