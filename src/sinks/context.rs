use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sea_orm::DatabaseConnection;
use uuid::Uuid;

use super::{SinkHealth, SinkMetrics};
use crate::{
    keys::Keyring,
    ledger::Signer,
    users::{LedgerWatcher, Users},
};

/// What all sinks share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) db: DatabaseConnection,
    pub(super) users: Users,
    pub(super) keyring: Keyring,
    pub(super) signer: Signer,
    pub(super) health: SinkHealth,
    pub(super) metrics: SinkMetrics,
    pub(super) poll_interval: Duration,
    /// This server, among those that publish.
    pub(super) server: Uuid,
    /// Whether each sink was looked at once: nobody is answered before.
    pub(super) has_begun: AtomicBool,
}

impl Context {
    /// Answers about people, or does not any more.
    pub(super) async fn judge(&self) {
        let Self { users, keyring, health, has_begun, .. } = self;
        if !has_begun.load(Ordering::Acquire) {
            return;
        }
        let is_trusted = health.is_trusted();
        self.metrics.set_trusted(is_trusted);
        if users.trust_ledger(LedgerWatcher::Sinks, is_trusted) {
            if is_trusted {
                tracing::info!("the database is at one with the ledger outside; personal data is answered");
            } else {
                // Whom it does not name cannot be told; nor whether a key still fits.
                keyring.evict_all().await;
                tracing::error!(
                    "nothing personal is answered: the database is not at one with the ledger outside"
                );
            }
        }
    }
}
