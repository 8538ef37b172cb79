use async_trait::async_trait;
use futures::{StreamExt, stream::FuturesUnordered};
use sea_orm::{
    ColumnTrait, Condition, DatabaseConnection, DbErr,
    sea_query::{Expr, ExprTrait, IntoCondition},
};

use super::{Route, plan, replace::replace};
use crate::{
    BackendError, Backends, ErrorClass, KekId, KeyBackend, KeyContext, NotStored, WrappedKey, causes,
    database::{Before, on_the_primary},
    entity::{data_key::Column, index_key},
    envelope::DataKeyId,
    index_keys, store,
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

/// The backends that own both wrapping keys, as far as they are configured.
type Ends<'b> = [Option<&'b dyn KeyBackend>; 2];

/// A data key with its old and its new wrapping.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) id: DataKeyId,
    pub(super) old: WrappedKey,
    pub(super) new: WrappedKey,
}

impl RewrapTask {
    fn index_keys(&self) -> Condition {
        self.under_the_source(index_key::Column::KekId, index_keys::wrapped_at())
    }

    /// What is to leave the source: all of it, or if that is a target, too, what came under it before a moment.
    fn under_the_source(&self, kek_id: impl ColumnTrait, wrapped_at: Expr) -> Condition {
        let wrapped_before = self.before.map(|before| wrapped_at.lt(before.moment()).into_condition());
        Condition::all().add(kek_id.eq(self.from.as_str())).add(plan::before(
            kek_id,
            &self.targets,
            wrapped_before,
        ))
    }

    /// Moves data keys, and stores nothing.
    pub(super) async fn try_out(&self, keys: Vec<(DataKeyId, WrappedKey)>, pace: &Pace) -> BatchResult {
        let (moved, mut result) = self.move_keys(keys, pace).await;
        result.done = moved.len() as u64;
        result
    }

    async fn move_keys(&self, keys: Vec<(DataKeyId, WrappedKey)>, pace: &Pace) -> (Vec<Moved>, BatchResult) {
        let mut moved = Vec::with_capacity(keys.len());
        let mut batch = BatchResult::default();
        let ends = self.ends();
        let calls = keys.into_iter().map(|(id, old)| async move {
            let result = self.move_key(&old, &id.into(), ends, pace).await;
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

    /// The backend that data keys leave, and the one that they come to.
    fn ends(&self) -> Ends<'_> {
        [self.backends.owner(&self.from), self.backends.named(&self.backend)]
    }

    async fn move_key(
        &self,
        old: &WrappedKey,
        context: &KeyContext,
        [source, target]: Ends<'_>,
        pace: &Pace,
    ) -> Result<WrappedKey, Refusal> {
        let target = target.ok_or_else(|| gone(&self.backend))?;
        let own;
        let to = if let [only] = &self.targets[..] {
            only
        } else {
            own = pace.call(|| target.current(context)).await?;
            &own
        };
        let new = match self.route {
            Route::Rewrap => pace.call(|| target.rewrap(old, context, to)).await?,
            Route::UnwrapAndWrap => {
                let source = source.ok_or_else(|| gone(self.from.as_str()))?;
                let material = pace.call(|| source.unwrap(old, context)).await?;
                pace.call(|| target.wrap(&material, context, to)).await?
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
        self.under_the_source(Column::KekId, store::wrapped_at())
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

    async fn finish(&self, pace: &Pace) -> Result<Option<StopCause>, DbErr> {
        // One by one: they are few.
        for old in index_keys::find(&self.db, self.index_keys()).await? {
            let moved = self.move_key(&old.wrapped, &old.id.context(), self.ends(), pace).await;
            let new = match moved {
                Ok(new) => new,
                Err(Refusal::Stopped) => return Ok(None),
                Err(Refusal::Backend(error)) => {
                    let cause = format!(
                        "the index key of epoch {} was not moved: {}",
                        old.id.epoch,
                        causes::line(&error)
                    );
                    return Ok(Some(StopCause(cause)));
                }
            };
            let stored =
                on_the_primary(&self.db, || index_keys::replace(&self.db, &old, &new, &self.backend));
            match stored.await {
                Ok(()) => {}
                Err(NotStored::Inactive(inactive)) => return Ok(Some(StopCause(inactive.to_string()))),
                Err(NotStored::Database(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn left_beside(&self) -> Result<u64, DbErr> {
        index_keys::remaining(&self.db, self.index_keys()).await
    }
}
