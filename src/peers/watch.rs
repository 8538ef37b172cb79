use std::{future::pending, time::Duration};

use sea_orm::{DatabaseConnection, DbBackend, DbErr};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{PeerMetrics, listener::listen, metrics::LearnedBy};
use crate::{
    causes,
    config::PeersConfig,
    keys::Keyring,
    users::{LedgerNews, LedgerPlace, Users},
};

/// How long a look into the ledger may take. One that hangs must not be the last one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Follows the erasure ledger, and evicts the data keys of whoever was forgotten.
#[derive(Debug)]
pub struct Watch {
    db: DatabaseConnection,
    users: Users,
    keyring: Keyring,
    config: PeersConfig,
    metrics: PeerMetrics,
    /// All before it is evicted.
    place: LedgerPlace,
    /// Whether the last look failed, and the log says so.
    failing: bool,
}

impl Watch {
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
        let place = users.ledger_end().await?;
        metrics.looked();
        Ok(Self { db, users, keyring, config, metrics, place, failing: false })
    }

    /// Follows the ledger, for as long as the future is polled.
    pub async fn keep_up(mut self) {
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
            let looked = timeout(PATIENCE, self.look(learned_by)).await;
            self.report(looked.unwrap_or_else(|_| Err(DbErr::Custom("no answer in time".to_owned()))));
        }
    }

    /// Reads the ledger to its end. What was read stays read, even if the rest cannot be.
    async fn look(&mut self, learned_by: LearnedBy) -> Result<(), DbErr> {
        loop {
            match self.users.ledger_after(&self.place).await? {
                LedgerNews::Nothing => return Ok(()),
                LedgerNews::Erased(entries, place) => {
                    for entry in entries {
                        self.keyring.evict(entry.subject, entry.destroyed).await;
                        self.metrics.learned(learned_by, entry.erased_at);
                    }
                    self.place = place;
                }
                LedgerNews::Replaced(end) => {
                    // Whom it does not name any more cannot be told; nor whether a key still fits.
                    self.keyring.evict_everybody().await;
                    self.place = end;
                    tracing::warn!(
                        "the erasure ledger is not the one that was there before, as after a restored backup; all open data keys were dropped"
                    );
                }
            }
        }
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
