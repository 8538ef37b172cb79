use std::{
    collections::HashSet,
    fmt,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use sea_orm::{Condition, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait, QueryFilter};
use tokio_util::sync::CancellationToken;

use super::{Counts, Failure, Operation, Pace, StopCause, Tally, claims};
use crate::{
    WrappedKey,
    database::on_the_primary,
    entity::{data_key, key_operation},
    envelope::DataKeyId,
};

/// Batches in hand at the same time: while one is stored, others are at the backend.
const WORKERS: usize = 4;

/// How long a run waits before it looks again whether others are done.
const WAIT_FOR_OTHERS: Duration = Duration::from_millis(250);

/// How often a run begins again for data keys that came up meanwhile, before it leaves them.
const MAX_LATE_PASSES: usize = 10;

/// What is done with data keys.
#[async_trait]
pub trait Chore: fmt::Debug + Send + Sync {
    /// Which data keys remain. Those that were dealt with no longer fulfil it.
    fn remaining(&self) -> Condition;

    /// Deals with some of them.
    ///
    /// # Errors
    ///
    /// The database's error: the run ends.
    async fn deal(&self, keys: Vec<(DataKeyId, WrappedKey)>, pace: &Pace) -> Result<Dealt, DbErr>;
}

/// What became of a batch. Keys that are not counted here were not tried, since the run is to end.
#[derive(Debug, Default)]
pub struct Dealt {
    /// Dealt with.
    pub done: u64,
    /// Forgotten, or changed by somebody else, meanwhile.
    pub changed: u64,
    /// Failed.
    pub failures: Vec<Failure>,
    /// Why the run is to end.
    pub stop: Option<StopCause>,
}

/// How fast a run is, and how far it goes.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// Data keys in one batch: one statement to the database.
    pub batch_size: NonZeroU32,
    /// Most calls to key backends at the same time.
    pub concurrency: NonZeroUsize,
    /// Most calls a second.
    pub max_rate: Option<NonZeroU32>,
    /// Most data keys.
    pub limit: Option<NonZeroU64>,
    /// How long a call is tried again that fails for a reason that may pass.
    pub patience: Duration,
}

/// How somebody outside watches a run, and ends it.
#[derive(Clone)]
pub struct Controls {
    /// Ends it: what is at the backend is awaited and stored, nothing new begins.
    pub stop: CancellationToken,
    /// What was done so far.
    pub tally: Arc<Tally>,
    /// Is told each failure.
    pub on_failure: Arc<dyn Fn(&Failure) + Send + Sync>,
    /// Is told, again and again, which other runs are waited for: what is left is claimed by them.
    pub on_wait: Arc<OnWait>,
}

/// See [`Controls::on_wait`].
pub type OnWait = dyn Fn(&[key_operation::Model]) + Send + Sync;

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controls").field("tally", &self.tally).finish_non_exhaustive()
    }
}

/// How a sweep ended.
#[derive(Debug)]
pub(super) struct Swept {
    /// Why it stopped before its end, if that was a failure.
    pub(super) stop: Option<StopCause>,
    /// Whether it reached its limit.
    pub(super) limited: bool,
}

/// Goes through all data keys that remain of a chore. `budget` is how many of them it may still take; it
/// goes down.
///
/// # Errors
///
/// The database's error. What was done until then is stored.
pub(super) async fn sweep(
    db: &DatabaseConnection,
    chore: Arc<dyn Chore>,
    operation: &Operation,
    options: &SweepOptions,
    budget: &mut u64,
    controls: &Controls,
) -> Result<Swept, DbErr> {
    let walk = Arc::new(Walk {
        db: db.clone(),
        operation: operation.clone(),
        batch_size: u64::from(options.batch_size.get()),
        pace: Pace::new(options, &controls.stop, controls.tally.clone()),
        controls: controls.clone(),
        chore,
        position: tokio::sync::Mutex::new(Position { after: None, budget: *budget }),
        failed: Mutex::default(),
        stop: OnceLock::new(),
    });
    let ended = walk.run().await;
    let position = walk.position.lock().await;
    *budget = position.budget;
    ended?;
    Ok(Swept { stop: walk.stop.get().cloned(), limited: position.budget == 0 })
}

/// How many data keys remain of a chore.
///
/// # Errors
///
/// The database's error.
pub(super) async fn count_remaining(db: &DatabaseConnection, chore: &dyn Chore) -> Result<u64, DbErr> {
    data_key::Entity::find().filter(chore.remaining()).count(db).await
}

#[derive(Debug)]
struct Walk {
    db: DatabaseConnection,
    operation: Operation,
    batch_size: u64,
    pace: Pace,
    controls: Controls,
    chore: Arc<dyn Chore>,
    position: tokio::sync::Mutex<Position>,
    /// Not tried again in this run.
    failed: Mutex<HashSet<DataKeyId>>,
    stop: OnceLock<StopCause>,
}

#[derive(Debug)]
struct Position {
    /// The last data key that was claimed.
    after: Option<DataKeyId>,
    /// How many may still be claimed.
    budget: u64,
}

impl Walk {
    async fn run(self: &Arc<Self>) -> Result<(), DbErr> {
        let mut late_passes = 0;
        // Whether a pass may have left out what others had claimed when it came by.
        let mut others_worked = true;
        loop {
            let before = self.controls.tally.counts();
            self.pass().await?;
            if self.is_over() || self.position.lock().await.budget == 0 {
                return Ok(());
            }
            let left = count_remaining(&self.db, &*self.chore).await?;
            if left <= self.failed().len() as u64 {
                return Ok(());
            }
            let others = claims::others(&self.db, self.operation.id()).await?;
            if others.is_empty() {
                late_passes += 1;
                let in_vain = self.controls.tally.counts() == before && !others_worked;
                if late_passes > MAX_LATE_PASSES || in_vain {
                    return Ok(());
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
            let Some(claim) = self.next().await? else { break };
            let id = claim.id();
            let dealt = self.deal(claim.keys).await;
            // First of all, the claim: with an error, the run ends.
            claims::release(&self.db, id).await?;
            self.record(dealt?);
        }
        Ok(())
    }

    async fn next(&self) -> Result<Option<claims::Claim>, DbErr> {
        let mut position = self.position.lock().await;
        let size = self.batch_size.min(position.budget);
        if size == 0 {
            return Ok(None);
        }
        let (operation, after) = (self.operation.id(), position.after);
        let claim = || claims::claim(&self.db, operation, self.chore.remaining(), after, size);
        let claim = on_the_primary(&self.db, claim).await?;
        if let Some(claim) = &claim {
            position.after = claim.keys.last().map(|(id, _)| *id);
            position.budget = position.budget.saturating_sub(claim.keys.len() as u64);
        }
        Ok(claim)
    }

    async fn deal(&self, mut keys: Vec<(DataKeyId, WrappedKey)>) -> Result<Dealt, DbErr> {
        {
            let failed = self.failed();
            keys.retain(|(id, _)| !failed.contains(id));
        }
        if keys.is_empty() { Ok(Dealt::default()) } else { self.chore.deal(keys, &self.pace).await }
    }

    fn record(&self, dealt: Dealt) {
        let Dealt { done, changed, .. } = dealt;
        let failed = dealt.failures.len() as u64;
        self.controls.tally.add(Counts { done, changed, failed, ..Counts::default() });
        dealt.failures.iter().for_each(|failure| (self.controls.on_failure)(failure));
        self.failed().extend(dealt.failures.iter().map(|failure| failure.id));
        if let Some(stop) = dealt.stop {
            // The first cause stays.
            let _ = self.stop.set(stop);
        }
    }

    fn is_over(&self) -> bool {
        self.stop.get().is_some() || self.pace.is_stopped()
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, HashSet<DataKeyId>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
