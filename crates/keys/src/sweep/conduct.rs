use std::sync::Arc;

use sea_orm::{DatabaseConnection, DbErr};
use uuid::Uuid;

use super::{
    Chore, Controls, NewOperation, Operation, Outcome, StopCause, SweepOptions,
    walk::{count_remaining, sweep},
};

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    /// Its number, as `key_operations` has it.
    pub id: Uuid,
    /// In a word.
    pub outcome: Outcome,
    /// Data keys that remain, counted after the end.
    pub left: u64,
    /// Why a chore was ended early.
    pub stops: Vec<StopCause>,
}

/// Does one chore after the other, on record. A chore that must be stopped does not keep the others from being
/// done.
///
/// # Errors
///
/// The database's error. What was done until then is stored, and the same run again does the rest.
pub async fn conduct(
    db: &DatabaseConnection,
    new: NewOperation,
    chores: Vec<Arc<dyn Chore>>,
    options: &SweepOptions,
    controls: &Controls,
) -> Result<Report, DbErr> {
    let operation = Operation::begin(db, new, controls.tally.clone()).await?;
    let done = tokio::select! {
        done = do_all(db, &operation, &chores, options, controls) => done,
        () = operation.keep_alive() => Err(DbErr::Custom("the heartbeat ended".to_owned())),
    };
    let ended = operation.end(done.as_ref().map_or(Outcome::Failed, |report| report.outcome)).await;
    let report = done?;
    ended?;
    Ok(report)
}

async fn do_all(
    db: &DatabaseConnection,
    operation: &Operation,
    chores: &[Arc<dyn Chore>],
    options: &SweepOptions,
    controls: &Controls,
) -> Result<Report, DbErr> {
    let mut budget = options.limit.map_or(u64::MAX, Into::into);
    let (mut stops, mut limited) = (Vec::new(), false);
    for chore in chores {
        if controls.stop.is_cancelled() || limited {
            break;
        }
        let swept = sweep(db, chore.clone(), operation, options, &mut budget, controls).await?;
        stops.extend(swept.stop);
        limited = swept.limited;
    }
    let mut left = 0;
    for chore in chores {
        left += count_remaining(db, &**chore).await?;
    }
    let outcome = match () {
        () if left == 0 => Outcome::Completed,
        () if !stops.is_empty() => Outcome::Stopped,
        () if controls.stop.is_cancelled() => Outcome::Interrupted,
        () if limited && controls.tally.counts().failed == 0 => Outcome::Limited,
        () => Outcome::Incomplete,
    };
    Ok(Report { id: operation.id(), outcome, left, stops })
}
