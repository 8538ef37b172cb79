use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::{join, join_all};
use sea_orm::DatabaseConnection;
use tokio::time::{interval, timeout};
use uuid::Uuid;

use super::{
    OpenSinksError, Receipts, SinkHealth, SinkMetrics, context::Context, mirror::Mirror, open::open,
    watch::Watch,
};
use crate::{
    causes,
    config::LedgerConfig,
    keys::Keyring,
    ledger::{self, publication},
    users::Users,
};

/// How long the last publication may take before a server ends.
const FINISH: Duration = Duration::from_secs(5);

/// All sinks of a server.
#[derive(Debug, Default)]
pub struct Sinks(Vec<Watch>);

impl Sinks {
    /// Opens those that are configured, and the key that signs.
    ///
    /// # Errors
    ///
    /// [`OpenSinksError`].
    pub async fn open(
        config: &LedgerConfig,
        db: DatabaseConnection,
        users: Users,
        keyring: Keyring,
        health: SinkHealth,
        metrics: SinkMetrics,
        receipts: &Receipts,
    ) -> Result<Self, OpenSinksError> {
        if config.sinks.is_empty() {
            return Ok(Self::default());
        }
        let signer = ledger::open_or_create_signer(config).await?;
        let policy = Arc::new(ledger::policy(config, Some(signer.public()))?.1);
        let (poll_interval, server) = (config.poll_interval, Uuid::new_v4());
        let has_begun = AtomicBool::new(false);
        let context = Arc::new(Context {
            db,
            users,
            keyring,
            signer,
            health,
            metrics,
            poll_interval,
            server,
            has_begun,
        });
        let (mut watches, mut readers) = (Vec::new(), Vec::new());
        for (name, sink) in &config.sinks {
            let store = open(sink).map_err(|source| OpenSinksError::Sink { name: name.clone(), source })?;
            let mirror = || Mirror::new(name.clone(), store.clone(), config.origin.clone(), policy.clone());
            watches.push(Watch::new(name.clone(), mirror(), context.clone()));
            readers.push(mirror());
        }
        receipts.fill(readers);
        Ok(Self(watches))
    }

    /// Looks at each sink once: before anybody is answered about.
    pub async fn begin(&mut self) {
        let Some(watch) = self.0.first() else { return };
        let Context { db, health, .. } = &*watch.context;
        match publication::reached_at(db).await {
            Ok(at) => health.reached_before(at),
            Err(error) => {
                tracing::warn!("it is not known when a sink was last reached: {}", causes::line(&error));
            }
        }
        let context = watch.context.clone();
        join_all(self.0.iter_mut().map(Watch::look)).await;
        context.has_begun.store(true, Ordering::Release);
        context.judge().await;
    }

    /// Looks once more. Whether a sink has more entries than before.
    pub async fn are_growing(&mut self) -> bool {
        let before: i64 = self.0.iter().map(|watch| watch.mirror.head().sequence).sum();
        join_all(self.0.iter_mut().map(Watch::look)).await;
        self.0.iter().map(|watch| watch.mirror.head().sequence).sum::<i64>() > before
    }

    /// Looks at the sinks again and again, each at its own pace, for as long as the future is polled.
    pub async fn watch(&mut self) {
        let Some(context) = self.0.first().map(|watch| watch.context.clone()) else {
            return pending().await;
        };
        let judging = async {
            // Whatever a look waits for, time passes.
            let mut ticks = interval(context.poll_interval);
            loop {
                ticks.tick().await;
                context.judge().await;
            }
        };
        join(judging, join_all(self.0.iter_mut().map(Watch::keep))).await;
    }

    /// Publishes what was forgotten last, before a server ends, and leaves the rest to the others.
    pub async fn finish(&mut self) {
        if timeout(FINISH, join_all(self.0.iter_mut().map(Watch::finish))).await.is_err() {
            tracing::warn!(
                "a sink takes too long; what was forgotten last is published by another server, or the next one"
            );
        }
    }
}
