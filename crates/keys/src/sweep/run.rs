use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::future::join_all;
use sea_orm::{DatabaseConnection, DbErr, EntityTrait, PaginatorTrait, QueryFilter};
use uuid::Uuid;

use super::{
    BatchResult, Controls, Counts, NewOperation, Operation, Pace, RunOutcome, StopCause, SweepOptions, Task,
    claims::{self, Batch},
};
use crate::{WrappedKey, database::on_the_primary, entity::data_key, envelope::DataKeyId};

/// Batches in hand at the same time: while one is stored, others are at the backend.
const WORKERS: usize = 4;

/// How long a run waits before it looks again whether others are done.
const WAIT_FOR_OTHERS: Duration = Duration::from_millis(250);

/// How often a run begins again for data keys that came up meanwhile, before it leaves them.
const MAX_LATE_PASSES: usize = 10;

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    /// Its number, as `key_operations` has it.
    pub id: Uuid,
    /// In a word.
    pub outcome: RunOutcome,
    /// Data keys that remain, and what remains beside them, counted after the end.
    pub left: u64,
    /// Why a task was ended early.
    pub stops: Vec<StopCause>,
}

/// Does one task after the other, on record. A task that must be stopped does not keep the others from being done.
///
/// # Errors
///
/// The database's error. What was done until then is stored, and the same run again does the rest.
pub async fn run(
    db: &DatabaseConnection,
    new: NewOperation,
    tasks: Vec<Arc<dyn Task>>,
    options: &SweepOptions,
    controls: &Controls,
) -> Result<Report, DbErr> {
    let operation = Operation::begin(db, new, controls.tally.clone()).await?;
    let done = tokio::select! {
        done = run_all(db, &operation, &tasks, options, controls) => done,
        () = operation.keep_alive() => Err(DbErr::Custom("the heartbeat ended".to_owned())),
    };
    let ended = operation.end(done.as_ref().map_or(RunOutcome::Failed, |report| report.outcome)).await;
    let report = done?;
    ended?;
    Ok(report)
}

/// Does a task that only reads: goes through its data keys once, and leaves no record.
///
/// # Errors
///
/// The database's error.
pub async fn scan(
    db: &DatabaseConnection,
    task: Arc<dyn Task>,
    options: &SweepOptions,
    controls: &Controls,
) -> Result<(), DbErr> {
    let budget = options.limit.map_or(u64::MAX, Into::into);
    Sweep::new(db, None, task, options, controls, budget).pass().await
}

async fn run_all(
    db: &DatabaseConnection,
    operation: &Operation,
    tasks: &[Arc<dyn Task>],
    options: &SweepOptions,
    controls: &Controls,
) -> Result<Report, DbErr> {
    let mut budget = options.limit.map_or(u64::MAX, Into::into);
    let mut stops = Vec::new();
    let mut known = None;
    for task in tasks {
        if controls.stop.is_cancelled() || budget == 0 {
            break;
        }
        let sweep = Sweep::new(db, Some(operation.clone()), task.clone(), options, controls, budget);
        known = sweep.run(operation).await?;
        stops.extend(sweep.stop.get().cloned());
        if !sweep.is_over() {
            stops.extend(task.finish(&sweep.pace).await?);
        }
        budget = sweep.position.lock().await.budget;
    }
    let mut left = 0;
    for task in tasks {
        // Of one task alone, it was counted just now.
        let remaining = match known.filter(|_| tasks.len() == 1) {
            Some(remaining) => remaining,
            None => count_remaining(db, &**task).await?,
        };
        left += remaining + task.left_beside().await?;
    }
    let outcome = match () {
        () if left == 0 => RunOutcome::Completed,
        () if !stops.is_empty() => RunOutcome::Stopped,
        () if controls.stop.is_cancelled() => RunOutcome::Interrupted,
        () if budget == 0 && controls.tally.counts().failed == 0 => RunOutcome::Limited,
        () => RunOutcome::Incomplete,
    };
    Ok(Report { id: operation.id(), outcome, left, stops })
}

async fn count_remaining(db: &DatabaseConnection, task: &dyn Task) -> Result<u64, DbErr> {
    data_key::Entity::find().filter(task.remaining()).count(db).await
}

/// Goes through the data keys that remain of a task.
#[derive(Debug)]
struct Sweep {
    db: DatabaseConnection,
    /// The record of the run. A sweep without one claims nothing.
    operation: Option<Operation>,
    batch_size: u64,
    pace: Pace,
    controls: Controls,
    task: Arc<dyn Task>,
    position: tokio::sync::Mutex<Position>,
    /// Not tried again in this run: all data keys of a subject of whom one failed.
    failed: Mutex<HashSet<DataKeyId>>,
    /// Those that failed themselves.
    failures: AtomicU64,
    stop: OnceLock<StopCause>,
}

#[derive(Debug)]
struct Position {
    /// The last data key that was taken.
    after: Option<DataKeyId>,
    /// How many may still be taken.
    budget: u64,
}

impl Sweep {
    fn new(
        db: &DatabaseConnection,
        operation: Option<Operation>,
        task: Arc<dyn Task>,
        options: &SweepOptions,
        controls: &Controls,
        budget: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            db: db.clone(),
            operation,
            batch_size: u64::from(options.batch_size.get()),
            pace: Pace::new(options, &controls.stop, controls.tally.clone()),
            controls: controls.clone(),
            task,
            position: tokio::sync::Mutex::new(Position { after: None, budget }),
            failed: Mutex::default(),
            failures: AtomicU64::new(0),
            stop: OnceLock::new(),
        })
    }

    /// Passes until nothing remains, or the rest is of no use. Gives how many remain, if they were counted at the end.
    async fn run(self: &Arc<Self>, operation: &Operation) -> Result<Option<u64>, DbErr> {
        let mut late_passes = 0;
        // True if the last pass may have left out data keys that others had claimed.
        let mut others_worked = true;
        loop {
            let before = self.controls.tally.counts();
            self.pass().await?;
            if self.is_over() || self.position.lock().await.budget == 0 {
                return Ok(None);
            }
            let left = count_remaining(&self.db, &*self.task).await?;
            if left <= self.failures.load(Relaxed) {
                return Ok(Some(left));
            }
            let others = claims::others(&self.db, operation.id()).await?;
            if others.is_empty() {
                late_passes += 1;
                let in_vain = self.controls.tally.counts() == before && !others_worked;
                if late_passes > MAX_LATE_PASSES || in_vain {
                    return Ok(Some(left));
                }
            } else {
                (self.controls.on_wait)(&others);
                tokio::select! {
                    () = self.controls.stop.cancelled() => {}
                    () = tokio::time::sleep(WAIT_FOR_OTHERS) => {}
                }
            }
            others_worked = !others.is_empty();
            self.position.lock().await.after = None;
        }
    }

    /// Once through all data keys.
    async fn pass(self: &Arc<Self>) -> Result<(), DbErr> {
        let workers = (0..WORKERS).map(|_| tokio::spawn(self.clone().work()));
        join_all(workers).await.into_iter().try_for_each(|worked| {
            worked.unwrap_or_else(|error| Err(DbErr::Custom(format!("a worker ended: {error}"))))
        })
    }

    async fn work(self: Arc<Self>) -> Result<(), DbErr> {
        while !self.is_over() {
            let Some(Batch { claim, keys }) = self.next().await? else { break };
            let ids: Vec<_> = keys.iter().map(|(id, _)| *id).collect();
            let processed = self.process(keys).await;
            // First of all, the claim: with an error, the run ends.
            if let Some(claim) = claim {
                claims::release(&self.db, claim).await?;
            }
            self.record(processed?, &ids);
        }
        Ok(())
    }

    async fn next(&self) -> Result<Option<Batch>, DbErr> {
        let mut position = self.position.lock().await;
        let size = self.batch_size.min(position.budget);
        if size == 0 {
            return Ok(None);
        }
        let after = position.after;
        let batch = match &self.operation {
            None => claims::read(&self.db, &*self.task, after, size).await?,
            Some(operation) => {
                let claim = || claims::claim(&self.db, operation.id(), &*self.task, after, size);
                on_the_primary(&self.db, claim).await?
            }
        };
        if let Some(batch) = &batch {
            position.after = batch.keys.last().map(|(id, _)| *id);
            position.budget = position.budget.saturating_sub(batch.keys.len() as u64);
        }
        Ok(batch)
    }

    async fn process(&self, mut keys: Vec<(DataKeyId, WrappedKey)>) -> Result<BatchResult, DbErr> {
        {
            let failed = self.failed();
            keys.retain(|(id, _)| !failed.contains(id));
        }
        if keys.is_empty() { Ok(BatchResult::default()) } else { self.task.process(keys, &self.pace).await }
    }

    /// `batch` is what was processed: all of a subject's data keys in it have failed if one has.
    fn record(&self, result: BatchResult, batch: &[DataKeyId]) {
        let BatchResult { done, changed, failures, stop } = result;
        let failed = failures.len() as u64;
        self.controls.tally.add(Counts { done, changed, failed, ..Counts::default() });
        self.failures.fetch_add(failed, Relaxed);
        for failure in &failures {
            (self.controls.on_failure)(failure);
        }
        let subjects: HashSet<_> = failures.iter().map(|failure| failure.id.subject).collect();
        self.failed().extend(batch.iter().filter(|id| subjects.contains(&id.subject)));
        if let Some(stop) = stop {
            // The first cause stays.
            let _ = self.stop.set(stop);
        }
    }

    fn is_over(&self) -> bool {
        self.stop.get().is_some() || self.pace.is_stopped()
    }

    fn failed(&self) -> MutexGuard<'_, HashSet<DataKeyId>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
