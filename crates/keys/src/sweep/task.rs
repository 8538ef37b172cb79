use std::fmt;

use async_trait::async_trait;
use sea_orm::{Condition, DbErr};

use super::{Failure, Pace, StopCause};
use crate::{WrappedKey, envelope::DataKeyId};

/// What a sweep does with data keys.
#[async_trait]
pub trait Task: fmt::Debug + Send + Sync {
    /// Which data keys remain. Those that were processed no longer fulfil it, unless the task only reads.
    fn remaining(&self) -> Condition;

    /// The same, looked at for one data key at a time in the order of their ids, for a task that begins with nearly all of them. Otherwise the database
    /// chooses, by figures that may be old: PostgreSQL then sorts all that remain for each page.
    fn remaining_in_order(&self) -> Option<Condition> {
        None
    }

    /// Processes a batch.
    ///
    /// # Errors
    ///
    /// The database's error: the run ends.
    async fn process(&self, keys: Vec<(DataKeyId, WrappedKey)>, pace: &Pace) -> Result<BatchResult, DbErr>;

    /// Does what is to be done beside data keys, when these are done. Says why it was not all done, if it was not.
    ///
    /// # Errors
    ///
    /// The database's error: the run ends.
    async fn finish(&self, _pace: &Pace) -> Result<Option<StopCause>, DbErr> {
        Ok(None)
    }

    /// How much of that remains.
    ///
    /// # Errors
    ///
    /// The database's error.
    async fn left_beside(&self) -> Result<u64, DbErr> {
        Ok(0)
    }
}

/// How a batch was processed. Keys that are not counted here were not tried, since the run is to end.
#[derive(Debug, Default)]
pub struct BatchResult {
    /// Processed.
    pub done: u64,
    /// Forgotten, or changed by somebody else, meanwhile.
    pub changed: u64,
    /// Failed.
    pub failures: Vec<Failure>,
    /// Why the run is to end.
    pub stop: Option<StopCause>,
}
