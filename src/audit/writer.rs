use std::{sync::Arc, time::Duration};

use sea_orm::DatabaseConnection;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    AuditError, AuditMetrics, append,
    batch::{Batch, Entry},
    metrics::BatchLabels,
};
use crate::causes;

/// How long events are gathered that nobody waits for.
const GATHER: Duration = Duration::from_millis(200);

/// As many are not gathered for longer. Each keeps some memory from being used again at once: the fewer wait, the less of
/// the processor's cache all other requests miss.
const ENOUGH: u64 = 128;

/// How often it is looked meanwhile whether they are enough. To be woken for each would cost more than to store it.
const LOOK: Duration = Duration::from_millis(10);

/// How long after a failure those are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The task that writes what is queued: all that waits, in one transaction.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) db: DatabaseConnection,
    pub(super) durable: mpsc::UnboundedReceiver<Entry>,
    pub(super) soon: mpsc::UnboundedReceiver<Entry>,
    pub(super) patience: Duration,
    pub(super) metrics: AuditMetrics,
    pub(super) stop: CancellationToken,
}

impl Writer {
    pub(super) async fn run(mut self) {
        let mut batch = Batch::default();
        while self.gather(&mut batch).await {
            self.write(&mut batch).await;
            if !batch.is_empty() && self.stop.is_cancelled() {
                return self.give_up(&batch);
            }
        }
    }

    /// Takes what there is to write, and waits until it should be. Whether there is anything: if not, it is the end.
    async fn gather(&mut self, batch: &mut Batch) -> bool {
        // What is left in it has just failed.
        let retry = !batch.is_empty();
        if !retry && !self.first(batch).await {
            return false;
        }
        let due = Instant::now() + if retry { RETRY } else { GATHER };
        loop {
            batch.durable.fill(&mut self.durable);
            batch.soon.fill(&mut self.soon);
            let enough = !batch.durable.is_empty() || (batch.soon.len() >= ENOUGH && !retry);
            let now = Instant::now();
            if enough || now >= due || self.stop.is_cancelled() {
                return true;
            }
            tokio::select! {
                Some(entry) = self.durable.recv() => batch.durable.push(entry),
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep_until(due.min(now + LOOK)) => {}
            }
        }
    }

    /// Waits for something to write. Once it is to stop, there is only what waits already.
    async fn first(&mut self, batch: &mut Batch) -> bool {
        loop {
            let stopping = self.stop.is_cancelled();
            if stopping {
                self.durable.close();
                self.soon.close();
            }
            tokio::select! {
                Some(entry) = self.durable.recv() => batch.durable.push(entry),
                Some(entry) = self.soon.recv() => batch.soon.push(entry),
                () = self.stop.cancelled(), if !stopping => continue,
                else => return false,
            }
            return true;
        }
    }

    async fn write(&self, batch: &mut Batch) {
        let started = Instant::now();
        // In a task that is never cut off: a connection that came back into the pool with a transaction just begun would
        // swallow what others write through it.
        let attempt = append::record_rows(self.db.clone(), append::rows(batch.events()));
        let stored = tokio::time::timeout(self.patience, tokio::spawn(attempt)).await;
        self.metrics.write_seconds.observe(started.elapsed().as_secs_f64());
        let error = match stored {
            Ok(Ok(Ok(()))) => {
                self.count("ok");
                self.metrics.events.inc_by(batch.len());
                return batch.succeed();
            }
            Ok(Ok(Err(error))) => AuditError::Database(Arc::new(error)),
            Ok(Err(_)) => AuditError::Closed,
            Err(_) => AuditError::TooSlow,
        };
        self.count("failed");
        tracing::error!(events = batch.len(), "{}", causes::line(&error));
        batch.fail(error);
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.batches.get_or_create(&BatchLabels { outcome }).inc();
    }

    /// The database fails, and the process is to end.
    fn give_up(mut self, batch: &Batch) {
        self.durable.close();
        self.soon.close();
        let mut lost = batch.len();
        while let Ok(entry) = self.soon.try_recv() {
            lost += entry.len();
        }
        self.metrics.dropped.inc_by(lost);
        tracing::error!(lost, "audit events are lost: the database failed while the server stopped");
    }
}
