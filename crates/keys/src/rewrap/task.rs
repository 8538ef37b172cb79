use async_trait::async_trait;
use futures::{StreamExt, stream::FuturesUnordered};
use sea_orm::{
    ColumnTrait, Condition, DatabaseConnection, DbErr,
    sea_query::{ExprTrait, IntoCondition},
};

use super::{Route, plan, replace::replace};
use crate::{
    BackendError, Backends, ErrorClass, KekId, KeyBackend, NotStored, WrappedKey,
    database::{Before, on_the_primary},
    entity::data_key::Column,
    envelope::DataKeyId,
    store,
    sweep::{BatchResult, Failure, Pace, Refusal, StopCause, Task},
};

/// Moves the data keys of one wrapping key to another, or each to its own.
#[derive(Debug)]
pub(super) struct RewrapTask {
    pub(super) db: DatabaseConnection,
    pub(super) backends: Backends,
    pub(super) from: KekId,
    /// As in the plan: one, or all that the backend has.
    pub(super) targets: Vec<KekId>,
    /// The name of their backend.
    pub(super) backend: String,
    pub(super) before: Option<Before>,
    pub(super) route: Route,
}

/// A data key with its old and its new wrapping.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) id: DataKeyId,
    pub(super) old: WrappedKey,
    pub(super) new: WrappedKey,
}

impl RewrapTask {
    /// Moves data keys, and stores nothing.
    pub(super) async fn try_out(&self, keys: Vec<(DataKeyId, WrappedKey)>, pace: &Pace) -> BatchResult {
        let (moved, mut result) = self.move_keys(keys, pace).await;
        result.done = moved.len() as u64;
        result
    }

    async fn move_keys(&self, keys: Vec<(DataKeyId, WrappedKey)>, pace: &Pace) -> (Vec<Moved>, BatchResult) {
        let mut moved = Vec::with_capacity(keys.len());
        let mut batch = BatchResult::default();
        let ends = [self.backends.owner(&self.from), self.backends.named(&self.backend)];
        let calls = keys.into_iter().map(|(id, old)| async move {
            let result = self.move_key(id, &old, ends, pace).await;
            (id, old, result)
        });
        let mut calls: FuturesUnordered<_> = calls.collect();
        let mut outage = None;
        while let Some((id, old, result)) = calls.next().await {
            match result {
                Ok(new) => moved.push(Moved { id, old, new }),
                Err(Refusal::Stopped) => {}
                Err(Refusal::Backend(error)) => {
                    if let Some(cause) = StopCause::of(&error) {
                        pace.abort();
                        batch.stop.get_or_insert(cause);
                    } else if error.class.is_retryable() {
                        outage = Some(StopCause::outage(&error));
                    }
                    batch.failures.push(Failure::new(id, old.kek_id, &error));
                }
            }
        }
        if moved.is_empty() {
            batch.stop = batch.stop.or(outage);
        }
        (moved, batch)
    }

    async fn move_key(
        &self,
        id: DataKeyId,
        old: &WrappedKey,
        [source, target]: [Option<&dyn KeyBackend>; 2],
        pace: &Pace,
    ) -> Result<WrappedKey, Refusal> {
        let context = id.into();
        let target = target.ok_or_else(|| gone(&self.backend))?;
        let own;
        let to = if let [only] = &self.targets[..] {
            only
        } else {
            own = pace.call(|| target.current(&context)).await?;
            &own
        };
        let new = match self.route {
            Route::Rewrap => pace.call(|| target.rewrap(old, &context, to)).await?,
            Route::UnwrapAndWrap => {
                let source = source.ok_or_else(|| gone(self.from.as_str()))?;
                let material = pace.call(|| source.unwrap(old, &context)).await?;
                pace.call(|| target.wrap(&material, &context, to)).await?
            }
        };
        // Under the target's own id: a backend may answer with another id of the same wrapping key, such as the ARN of the
        // primary of a multi-Region key.
        Ok(WrappedKey { kek_id: to.clone(), ..new })
    }
}

/// Nobody owns the wrapping key any more.
fn gone(what: &str) -> Refusal {
    Refusal::Backend(BackendError { backend: what.to_owned(), class: ErrorClass::KeyNotFound, source: None })
}

#[async_trait]
impl Task for RewrapTask {
    fn remaining(&self) -> Condition {
        let wrapped_before =
            self.before.map(|before| store::wrapped_at().lt(before.moment()).into_condition());
        Condition::all()
            .add(Column::KekId.eq(self.from.as_str()))
            .add(plan::before(&self.targets, wrapped_before))
    }

    async fn process(&self, keys: Vec<(DataKeyId, WrappedKey)>, pace: &Pace) -> Result<BatchResult, DbErr> {
        let (mut moved, mut result) = self.move_keys(keys, pace).await;
        // Rows are locked in one order, by all tasks. What comes under one wrapping key is stored together.
        moved.sort_by(|one, other| (&one.new.kek_id, one.id).cmp(&(&other.new.kek_id, other.id)));
        let stored = on_the_primary(&self.db, || replace(&self.db, &self.backend, &moved)).await;
        match stored {
            Ok(stored) => {
                result.done = stored;
                result.changed = (moved.len() as u64).saturating_sub(stored);
            }
            Err(NotStored::Inactive(inactive)) => {
                pace.abort();
                result.stop.get_or_insert(StopCause(inactive.to_string()));
            }
            Err(NotStored::Database(error)) => return Err(error),
        }
        Ok(result)
    }
}
