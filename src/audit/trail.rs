use std::{sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DbErr};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{AuditMetrics, EventPage, EventPageRequest, Filter, NewEvent, lane::Lane, writer::Writer};
use crate::config::AuditReads;

/// Writes events in batches, off the request path. One per process is best: what comes while a batch is being
/// written goes into the next one. Cheap to clone; when the last clone is gone, what waits is written.
#[derive(Clone, Debug)]
pub struct Trail {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    db: DatabaseConnection,
    reads: AuditReads,
    patience: Duration,
    durable: Arc<Lane>,
    soon: Arc<Lane>,
    metrics: AuditMetrics,
    stop: CancellationToken,
    stopped: CancellationToken,
    _stop_when_dropped: DropGuard,
}

impl Trail {
    /// Starts the writer, a task. `reads` is the configured mode of [`record_reads`](Self::record_reads). Nobody
    /// waits for longer than `patience`: well under `http.request_timeout`, so that a client learns what happened.
    #[must_use]
    pub fn start(
        db: DatabaseConnection,
        reads: AuditReads,
        patience: Duration,
        metrics: AuditMetrics,
    ) -> Self {
        let arrived = Arc::new(Notify::new());
        let lane = || Arc::new(Lane::new(arrived.clone(), metrics.waiting.clone()));
        let (durable, soon) = (lane(), lane());
        let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
        let writer = Writer {
            db: db.clone(),
            durable: durable.clone(),
            soon: soon.clone(),
            arrived,
            patience,
            metrics: metrics.clone(),
            stop: stop.clone(),
            head: None,
            alone: false,
        };
        let ended = stopped.clone().drop_guard();
        tokio::spawn(async move {
            writer.run().await;
            drop(ended);
        });
        let shared = Shared {
            db,
            reads,
            patience,
            durable,
            soon,
            metrics,
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
            stopped,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Records the reads of one request, as `audit.reads` says. On an error, the values that were read must not be
    /// answered.
    ///
    /// # Errors
    ///
    /// [`AuditError`], only if the mode is [`AuditReads::Required`].
    pub async fn record_reads(&self, events: &[NewEvent]) -> Result<(), AuditError> {
        match self.shared.reads {
            AuditReads::Required => self.record_durably(events).await,
            AuditReads::BestEffort => {
                self.record_soon(events);
                Ok(())
            }
            AuditReads::Off => Ok(()),
        }
    }

    /// Whether reads are recorded at all.
    #[must_use]
    pub fn records_reads(&self) -> bool {
        self.shared.reads != AuditReads::Off
    }

    /// Records events of one actor, and answers when they are stored.
    ///
    /// # Errors
    ///
    /// [`AuditError`]: they may not be stored.
    pub async fn record_durably(&self, events: &[NewEvent]) -> Result<(), AuditError> {
        if events.is_empty() {
            return Ok(());
        }
        let stored = tokio::time::timeout(self.shared.patience, self.store(events));
        stored.await.unwrap_or(Err(AuditError::TooSlow))
    }

    /// Records events of one actor a little later. If there is no room left for them, they are dropped, and counted.
    pub fn record_soon(&self, events: &[NewEvent]) {
        if events.is_empty() {
            return;
        }
        if self.shared.soon.offer(events).is_err() {
            self.shared.metrics.dropped.inc_by(events.len() as u64);
        }
    }

    /// Reads events: see [`page`](super::page()).
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn page(&self, filter: &Filter, request: EventPageRequest) -> Result<EventPage, DbErr> {
        super::page(&self.shared.db, filter, request).await
    }

    /// Takes no more events, and writes those that wait.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        self.shared.stopped.cancelled().await;
    }

    async fn store(&self, events: &[NewEvent]) -> Result<(), AuditError> {
        let put = self.shared.durable.put(events).inspect_err(|error| {
            if matches!(error, AuditError::Crowded) {
                self.shared.metrics.crowded.inc();
            }
        });
        for answer in put? {
            answer.await.unwrap_or(Err(AuditError::Closed))?;
        }
        Ok(())
    }
}

/// Events may not be in the trail.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuditError {
    /// The database failed.
    #[error("the audit trail cannot be written")]
    Database(#[source] Arc<DbErr>),
    /// The database did not answer in time. It may store them yet.
    #[error("the audit trail was not written in time")]
    TooSlow,
    /// The writer has ended, or was cut off as the process ends.
    #[error("the audit trail is closed")]
    Closed,
    /// As many events of this actor as may wait to be stored do so already. None of these is.
    #[error("too many events of one actor wait for the audit trail")]
    Crowded,
}
