use std::{sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DbBackend, DbErr};
use tokio::{sync::Notify, task::yield_now, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    AuditError, AuditMetrics,
    lane::{Batch, Lane, Load},
    metrics::BatchOutcome,
    store,
};
use crate::{causes, chain::Head};

/// How long events are gathered that nobody waits for.
const GATHER: Duration = Duration::from_millis(200);

/// How long after a failure those are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The task that writes what waits: of both lanes, in one transaction.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) db: DatabaseConnection,
    pub(super) durable: Arc<Lane>,
    pub(super) soon: Arc<Lane>,
    /// Something waits.
    pub(super) arrived: Arc<Notify>,
    pub(super) patience: Duration,
    pub(super) metrics: AuditMetrics,
    pub(super) stop: CancellationToken,
    /// After what was written last: as long as nobody else writes, the newest.
    pub(super) head: Option<Head>,
    /// Whether nobody else wrote lately.
    pub(super) alone: bool,
}

/// What the writer is about to write.
#[derive(Debug, Default)]
struct Hand {
    /// Somebody waits for these.
    durable: Vec<Load>,
    soon: Vec<Load>,
}

impl Hand {
    fn batches(&self) -> Vec<Arc<Batch>> {
        self.durable.iter().chain(&self.soon).map(|load| load.batch.clone()).collect()
    }

    fn len(&self) -> u64 {
        self.durable.iter().chain(&self.soon).map(|load| load.batch.len() as u64).sum()
    }
}

impl Writer {
    pub(super) async fn run(mut self) {
        let mut hand = Hand::default();
        while self.gather(&mut hand).await {
            self.write(&mut hand).await;
            if !hand.soon.is_empty() && self.stop.is_cancelled() {
                return self.give_up(hand);
            }
        }
    }

    /// Waits until something should be written, and takes it. Whether there is anything: if not, it is the end.
    async fn gather(&mut self, hand: &mut Hand) -> bool {
        // What is left in it has just failed.
        let retry = (!hand.soon.is_empty()).then(|| Instant::now() + RETRY);
        loop {
            let stopping = self.stop.is_cancelled();
            if stopping {
                self.close();
            }
            // Whoever is about to come comes along: a statement costs as much as ten events.
            yield_now().await;
            self.durable.take(&mut hand.durable);
            let due = retry.or_else(|| self.soon.since().map(|since| since + GATHER));
            if stopping || !hand.durable.is_empty() || due.is_some_and(|due| due <= Instant::now()) {
                if hand.soon.is_empty() {
                    self.soon.take(&mut hand.soon);
                }
                return !hand.durable.is_empty() || !hand.soon.is_empty();
            }
            tokio::select! {
                () = self.arrived.notified() => {}
                () = self.stop.cancelled() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    async fn write(&mut self, hand: &mut Hand) {
        let started = Instant::now();
        let stored = self.store(hand, started + self.patience).await;
        self.metrics.write_seconds.observe(started.elapsed().as_secs_f64());
        match stored {
            Ok(head) => {
                self.head = Some(head);
                self.count(BatchOutcome::Ok);
                self.metrics.events.inc_by(hand.len());
                end(&self.durable, &mut hand.durable, &Ok(()));
                end(&self.soon, &mut hand.soon, &Ok(()));
            }
            Err(error) => {
                self.count(BatchOutcome::Failed);
                tracing::error!(events = hand.len(), "{}", causes::line(&error));
                // Each request that waited is told, and withholds the answer; the rest stays, to be tried again.
                end(&self.durable, &mut hand.durable, &Err(error));
            }
        }
    }

    /// Stores events, and gives the head after them. Where nobody else wrote lately, it is tried in one statement: a lock
    /// that is asked for, held and given back takes three more, and everybody else who changes something waits for it.
    async fn store(&mut self, hand: &Hand, deadline: Instant) -> Result<Head, AuditError> {
        let head = self.head.take();
        if let (true, Some(head)) = (self.alone, head.clone()) {
            let after = store::record_all_after(self.db.clone(), hand.batches(), head);
            if let Some(moved) = attempt(after, deadline).await? {
                return Ok(moved.to);
            }
        }
        let moved = attempt(store::record_all(self.db.clone(), hand.batches()), deadline).await?;
        self.alone = self.db.get_database_backend() == DbBackend::Postgres && Some(moved.from) == head;
        Ok(moved.to)
    }

    fn count(&self, outcome: BatchOutcome) {
        self.metrics.batches.get_or_create(&outcome.into()).inc();
    }

    fn close(&self) {
        self.durable.close();
        self.soon.close();
    }

    /// The database fails, and the process is to end.
    fn give_up(self, mut hand: Hand) {
        self.close();
        let mut lost = 0;
        while !hand.soon.is_empty() {
            lost += hand.len();
            end(&self.soon, &mut hand.soon, &Err(AuditError::Closed));
            self.soon.take(&mut hand.soon);
        }
        loop {
            self.durable.take(&mut hand.durable);
            if hand.durable.is_empty() {
                break;
            }
            end(&self.durable, &mut hand.durable, &Err(AuditError::Closed));
        }
        self.metrics.dropped.inc_by(lost);
        tracing::error!(lost, "audit events are lost: the database failed while the server stopped");
    }
}

fn end(lane: &Lane, loads: &mut Vec<Load>, result: &Result<(), AuditError>) {
    for load in loads.drain(..) {
        lane.end(load, result);
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
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
