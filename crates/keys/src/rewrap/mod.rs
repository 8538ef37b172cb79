//! Moving data keys to another wrapping key, while servers serve.
//!
//! 1. [`Rewrap::plan`]: from which wrapping keys to which, how many data keys, by which route.
//! 2. [`Rewrap::try_out`]: moves some, and stores nothing.
//! 3. [`Rewrap::run`]: moves them all. Stored is by compare-and-swap on the old wrapped bytes, so that what was
//!    forgotten meanwhile stays forgotten. What is left is counted in the end.
//!
//! Rows with sealed values are not touched.

mod plan;
mod replace;
mod task;

use std::sync::Arc;

use sea_orm::{DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use task::RewrapTask;

pub use plan::{Plan, PlanError, Route, Selection, Source};

use super::{
    Backends, Journal, NotStored, store,
    sweep::{self, BatchResult, Controls, NewOperation, OperationKind, Pace, Report, SweepOptions, Task},
    wrapping_keys,
};
use crate::{database::on_the_primary, entity::data_key};

/// The engine that moves data keys to another wrapping key.
#[derive(Clone, Debug)]
pub struct Rewrap {
    db: DatabaseConnection,
    backends: Backends,
}

impl Rewrap {
    /// An engine over the data keys of `db`.
    #[must_use]
    pub fn new(db: DatabaseConnection, backends: Backends) -> Self {
        Self { db, backends }
    }

    /// What a run would do. Asks the target's backend which its current wrapping key is, and changes nothing.
    ///
    /// # Errors
    ///
    /// [`PlanError`] says what to do.
    pub async fn plan(&self, selection: Selection) -> Result<Plan, PlanError> {
        Plan::make(&self.db, &self.backends, selection).await
    }

    /// Moves up to `size` data keys of each wrapping key, and forgets about it: finds out what is not permitted
    /// before a run does.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn try_out(
        &self,
        plan: &Plan,
        size: u64,
        options: &SweepOptions,
        controls: &Controls,
    ) -> Result<Vec<BatchResult>, DbErr> {
        let mut result = Vec::new();
        for source in &plan.sources {
            let task = self.task(plan, source);
            let pace = Pace::new(options, &controls.stop, controls.tally.clone());
            let rows = data_key::Entity::find()
                .filter(task.remaining())
                .order_by_asc(data_key::Column::SubjectId)
                .limit(size)
                .all(&self.db)
                .await?;
            let keys = rows.into_iter().map(store::parse).collect::<Result<_, _>>()?;
            result.push(task.try_out(keys, &pace).await);
        }
        Ok(result)
    }

    /// Moves all data keys of a plan, and those that come up meanwhile. A target that is being retired is active again.
    ///
    /// # Errors
    ///
    /// [`NotStored`]: the target is retired, or the database failed. What was moved until then is stored, and the same run
    /// again moves the rest.
    pub async fn run(
        &self,
        plan: &Plan,
        journal: &dyn Journal,
        options: &SweepOptions,
        controls: &Controls,
    ) -> Result<Report, NotStored> {
        for to in &plan.targets {
            wrapping_keys::activate(&self.db, to, journal).await?;
        }
        if let Some(before) = &plan.before {
            on_the_primary(&self.db, || store::settle_wrapped_ahead(&self.db, before)).await?;
        }
        let from = match &plan.sources[..] {
            [source] => Some(source.kek_id.clone()),
            _ => None,
        };
        let new = NewOperation {
            kind: OperationKind::Rewrap,
            actor: journal.actor().to_owned(),
            from,
            to: (plan.targets.len() == 1).then(|| plan.to.clone()),
            planned: plan.data_keys(),
        };
        let tasks = plan.sources.iter().map(|source| Arc::new(self.task(plan, source)) as _).collect();
        Ok(sweep::run(&self.db, new, tasks, options, controls).await?)
    }

    fn task(&self, plan: &Plan, source: &Source) -> RewrapTask {
        RewrapTask {
            db: self.db.clone(),
            backends: self.backends.clone(),
            from: source.kek_id.clone(),
            targets: plan.targets.clone(),
            backend: plan.backend.clone(),
            before: plan.before,
            route: source.route,
        }
    }
}
