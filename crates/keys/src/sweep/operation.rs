//! The table `key_operations`.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, QueryOrder, QuerySelect, Set,
};
use uuid::Uuid;

use super::{Counts, Tally};
use crate::{
    KekId, causes,
    database::{begin_write, read_clock},
    entity::key_operation::{ActiveModel, Column, Entity, Model},
};

/// Longest actor, in characters: as the column has it.
const MAX_ACTOR: usize = 255;

/// How often a running operation says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// An operation that was silent for this long, by the database's clock, is dead, and what it had claimed is free. Should it live all the same,
/// work may be done twice, and is stored once.
const DEAD_AFTER: Duration = Duration::from_secs(10);

/// What is done with the data keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// They move to another wrapping key.
    Rewrap,
    /// Each subject gets a fresh one.
    Rotate,
    /// What their subjects are found by is built.
    Index,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Nothing is left to do.
    Completed,
    /// Its limit was reached.
    Limited,
    /// Some data keys failed, or are left.
    Incomplete,
    /// Somebody stopped it.
    Interrupted,
    /// A cause that would have hit every key.
    Stopped,
    /// The database failed.
    Failed,
}

/// What a run is about to do.
#[derive(Clone, Debug)]
pub struct NewOperation {
    /// What is done.
    pub kind: OperationKind,
    /// Who does it.
    pub actor: String,
    /// The wrapping key that data keys leave, if it is one.
    pub from: Option<KekId>,
    /// The wrapping key that they come under, if it is one.
    pub to: Option<KekId>,
    /// How many data keys there are to deal with.
    pub planned: u64,
}

/// A running operation's record in the database.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    db: DatabaseConnection,
    id: Uuid,
    tally: Arc<Tally>,
}

impl Operation {
    /// Records that a run begins.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub(super) async fn begin(
        db: &DatabaseConnection,
        new: NewOperation,
        tally: Arc<Tally>,
    ) -> Result<Self, DbErr> {
        let now = read_clock(db).await?;
        let row = Model {
            id: Uuid::now_v7(),
            kind: new.kind.to_string(),
            actor: new.actor.chars().take(MAX_ACTOR).collect(),
            from_kek: new.from.map(|kek_id| kek_id.as_str().to_owned()),
            to_kek: new.to.map(|kek_id| kek_id.as_str().to_owned()),
            started_at: now,
            heartbeat_at: now,
            ended_at: None,
            outcome: None,
            planned: new.planned.cast_signed(),
            done: 0,
            changed: 0,
            failed: 0,
        };
        let id = row.id;
        Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db).await?;
        Ok(Self { db: db.clone(), id, tally })
    }

    /// Says every now and then that the run lives, for as long as the future is polled.
    pub(super) async fn keep_alive(&self) {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let this = self.clone();
            // One that has begun ends, also if the run does: a transaction that is cut off costs connections.
            let recorded = tokio::spawn(async move { this.record(None).await }).await;
            if let Ok(Err(error)) = recorded {
                tracing::warn!("the run's heartbeat is not recorded: {}", causes::line(&error));
            }
        }
    }

    /// Records how the run ended.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub(super) async fn end(&self, outcome: RunOutcome) -> Result<(), DbErr> {
        Box::pin(self.record(Some(outcome))).await
    }

    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    async fn record(&self, outcome: Option<RunOutcome>) -> Result<(), DbErr> {
        let now = read_clock(&self.db).await?;
        let Counts { done, changed, failed, .. } = self.tally.counts();
        let mut row = ActiveModel {
            id: Set(self.id),
            heartbeat_at: Set(now),
            done: Set(done.cast_signed()),
            changed: Set(changed.cast_signed()),
            failed: Set(failed.cast_signed()),
            ..Default::default()
        };
        if let Some(outcome) = outcome {
            row.ended_at = Set(Some(now));
            row.outcome = Set(Some(outcome.to_string()));
        }
        let transaction = begin_write(&self.db).await?;
        row.update(&transaction).await?;
        transaction.commit().await
    }
}

/// The newest operations, the newest first.
///
/// # Errors
///
/// The database's error.
pub async fn recent(db: &DatabaseConnection, limit: u64) -> Result<Vec<Model>, DbErr> {
    Entity::find().order_by_desc(Column::Id).limit(limit).all(db).await
}

/// Whether an operation still runs, as far as can be told, `now` by the database's clock.
#[must_use]
pub fn is_alive(operation: &Model, now: DateTime<Utc>) -> bool {
    // A heartbeat to come is of another clock: a release before wrote its own machine's, and the database's may have been set back.
    let silent = now.signed_duration_since(operation.heartbeat_at).abs();
    operation.ended_at.is_none() && silent.to_std().is_ok_and(|silent| silent < DEAD_AFTER)
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rewrap => "rewrap",
            Self::Rotate => "rotate",
            Self::Index => "index",
        })
    }
}

impl fmt::Display for RunOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completed => "completed",
            Self::Limited => "limited",
            Self::Incomplete => "incomplete",
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        })
    }
}
