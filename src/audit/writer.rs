use std::{sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DbBackend, DbErr};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    AuditError, AuditMetrics, append,
    batch::{Batch, Entry},
    head::Head,
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
    /// After what was written last: as long as nobody else writes, the newest.
    pub(super) head: Option<Head>,
    /// Whether nobody else wrote lately.
    pub(super) alone: bool,
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

    async fn write(&mut self, batch: &mut Batch) {
        let started = Instant::now();
        let stored = self.store(batch, started + self.patience).await;
        self.metrics.write_seconds.observe(started.elapsed().as_secs_f64());
        match stored {
            Ok(head) => {
                self.head = Some(head);
                self.count("ok");
                self.metrics.events.inc_by(batch.len());
                batch.succeed();
            }
            Err(error) => {
                self.count("failed");
                tracing::error!(events = batch.len(), "{}", causes::line(&error));
                batch.fail(error);
            }
        }
    }

    /// Stores a batch, and gives the head after it. Where nobody else wrote lately, it is tried in one statement: a lock
    /// that is asked for, held and given back takes three more, and everybody else who changes something waits for it.
    async fn store(&mut self, batch: &Batch, deadline: Instant) -> Result<Head, AuditError> {
        let head = self.head.take();
        if let (true, Some(head)) = (self.alone, head.clone()) {
            let after = append::record_rows_after(self.db.clone(), append::rows(batch.events()), head);
            if let Some(moved) = attempt(after, deadline).await? {
                return Ok(moved.to);
            }
        }
        let locked = append::record_rows(self.db.clone(), append::rows(batch.events()));
        let moved = attempt(locked, deadline).await?;
        self.alone = self.db.get_database_backend() == DbBackend::Postgres && Some(moved.from) == head;
        Ok(moved.to)
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

/// Does it in a task that is never cut off: a connection that came back into the pool with a transaction just begun
/// would swallow what others write through it.
async fn attempt<T: Send + 'static>(
    what: impl Future<Output = Result<T, DbErr>> + Send + 'static,
    deadline: Instant,
) -> Result<T, AuditError> {
    match tokio::time::timeout_at(deadline, tokio::spawn(what)).await {
        Ok(Ok(Ok(done))) => Ok(done),
        Ok(Ok(Err(error))) => Err(AuditError::Database(Arc::new(error))),
        Ok(Err(_)) => Err(AuditError::Closed),
        Err(_) => Err(AuditError::TooSlow),
    }
}
