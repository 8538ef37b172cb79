//! Giving subjects fresh data keys: the answer to a data key that leaked.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream::FuturesUnordered};
use sea_orm::{
    ColumnTrait, Condition, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    sea_query::Expr,
};

use tracing::Instrument;

use super::{
    BackendError, DataKeyIdentity, Inactive, Journal, KekId, KeyCommitment, Keyring, NoJournal, NotStored,
    WrappedKey,
    store::{self, StoredKey},
    subjects::{LockedSubject, Registry},
    sweep::{
        self, BatchResult, Controls, Failure, NewOperation, OperationKind, Pace, Refusal, Report, StopCause,
        SweepOptions, Task,
    },
};
use crate::{
    causes,
    database::{Before, MayBeDatabases, begin_write, on_the_primary, scrub},
    entity::data_key,
    envelope::{DataKey, DataKeyId, OpenError, ResealError, SealedMut, SealedRow, SubjectId},
};

/// How often a subject is begun with again whose data changed meanwhile.
const ATTEMPTS: usize = 10;

/// The engine that gives subjects fresh data keys, and seals their attributes anew.
#[derive(Clone, Debug)]
pub struct Rotate {
    task: Arc<RotateTask>,
}

#[derive(Debug)]
struct RotateTask {
    keyring: Keyring,
    registry: Registry,
    subjects: Option<Vec<SubjectId>>,
    before: Before,
    journal: Arc<dyn Journal>,
}

impl Rotate {
    /// For these subjects, or all of them, as far as their data key was made before a moment. A subject of whom the registry has no
    /// row is a failure, `inconsistent`: so register a table that has a row for each subject.
    #[must_use]
    pub fn new(
        keyring: Keyring,
        registry: Registry,
        subjects: Option<Vec<SubjectId>>,
        before: Before,
        journal: Arc<dyn Journal>,
    ) -> Self {
        Self { task: Arc::new(RotateTask { keyring, registry, subjects, before, journal }) }
    }

    /// For everybody who has a data key now. Only `key_operations` records it, with this actor.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn everybody(
        keyring: Keyring,
        registry: Registry,
        actor: impl Into<String>,
    ) -> Result<Self, DbErr> {
        let before = Before::ask(keyring.db(), None).await?;
        Ok(Self::new(keyring, registry, None, before, Arc::new(NoJournal::new(actor))))
    }

    /// How many data keys are to be replaced.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn count(&self) -> Result<u64, DbErr> {
        let made_before = self.task.before.holds(Expr::col(data_key::Column::CreatedAt));
        data_key::Entity::find().filter(self.task.chosen()).filter(made_before).count(self.db()).await
    }

    /// How many of those claim to be made later than now: a server made them whose clock was ahead. They are replaced, too.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn count_ahead(&self) -> Result<u64, DbErr> {
        let ahead = self.task.before.is_ahead(Expr::col(data_key::Column::CreatedAt));
        data_key::Entity::find().filter(self.task.chosen()).filter(ahead).count(self.db()).await
    }

    /// Replaces them. Each subject is one transaction. The run is a task of its own, and ends also if the caller goes away: so
    /// its record says how it ended, and SQLite's log is emptied of the old keys.
    ///
    /// # Errors
    ///
    /// The database's error. What was done until then is stored, and the same run again does the rest. A data key that could not
    /// be replaced is no error: [`Report::left`] counts those, and [`Controls::on_failure`] is told of each.
    pub async fn run(&self, options: &SweepOptions, controls: &Controls) -> Result<Report, DbErr> {
        let (this, options, controls) = (self.clone(), options.clone(), controls.clone());
        let run = async move { Box::pin(this.run_to_completion(&options, &controls)).await };
        let ended = tokio::spawn(run.in_current_span()).await;
        ended.unwrap_or_else(|error| Err(DbErr::Custom(format!("the rotation ended: {error}"))))
    }

    async fn run_to_completion(&self, options: &SweepOptions, controls: &Controls) -> Result<Report, DbErr> {
        let new = NewOperation {
            kind: OperationKind::Rotate,
            actor: self.task.journal.actor().to_owned(),
            from: None,
            to: None,
            planned: self.count().await?,
        };
        on_the_primary(self.db(), || {
            store::settle_made_ahead(self.db(), self.task.chosen(), &self.task.before)
        })
        .await?;
        let report = sweep::run(self.db(), new, vec![self.task.clone()], options, controls).await;
        scrub(self.db()).await;
        report
    }

    fn db(&self) -> &DatabaseConnection {
        self.task.keyring.db()
    }
}

/// What became of one subject.
enum Rotated {
    /// They have a fresh data key.
    Yes,
    /// They were forgotten, or somebody else gave them a fresh data key.
    NotNeeded,
    /// They are as they were.
    Failed(Failure, Option<StopCause>),
    /// Not tried: the run is to end.
    Stopped,
}

#[async_trait]
impl Task for RotateTask {
    fn remaining(&self) -> Condition {
        self.chosen().add(data_key::Column::CreatedAt.lt(self.before.moment()))
    }

    async fn process(&self, keys: Vec<(DataKeyId, WrappedKey)>, pace: &Pace) -> Result<BatchResult, DbErr> {
        let mut subjects: Vec<_> = keys.into_iter().map(|(id, wrapped)| (id, wrapped.kek_id)).collect();
        subjects.dedup_by_key(|(id, _)| id.subject);
        let rotations = subjects.into_iter().map(|(id, kek_id)| self.rotate(id, kek_id, pace));
        let mut rotations: FuturesUnordered<_> = rotations.collect();
        let mut result = BatchResult::default();
        while let Some(rotated) = rotations.next().await {
            match rotated? {
                Rotated::Yes => result.done += 1,
                Rotated::NotNeeded => result.changed += 1,
                Rotated::Failed(failure, stop) => {
                    result.failures.push(failure);
                    if let Some(cause) = stop {
                        pace.abort();
                        result.stop.get_or_insert(cause);
                    }
                }
                Rotated::Stopped => {}
            }
        }
        Ok(result)
    }
}

impl RotateTask {
    /// The data keys of the subjects that are meant.
    fn chosen(&self) -> Condition {
        let subjects = self.subjects.as_ref().map(|subjects| {
            data_key::Column::SubjectId.is_in(subjects.iter().map(|subject| *subject.as_uuid()))
        });
        Condition::all().add_option(subjects)
    }

    /// `id` is one of the subject's data keys, for failures that are of none in particular.
    async fn rotate(&self, id: DataKeyId, kek_id: KekId, pace: &Pace) -> Result<Rotated, DbErr> {
        let failed = |id, class, cause| {
            Ok(Rotated::Failed(Failure { id, kek_id: kek_id.clone(), class, cause }, None))
        };
        let mut looked = false;
        for _ in 0..ATTEMPTS {
            match on_the_primary(self.keyring.db(), || self.try_rotate(id.subject, pace)).await {
                Ok(true) => return Ok(Rotated::Yes),
                Ok(false) => return Ok(Rotated::NotNeeded),
                Err(RotateError::Changed) => {}
                Err(RotateError::Inactive(_)) if !looked => {
                    looked = true;
                    // The backend may have missed that another wrapping key is current.
                    self.keyring.look().await;
                }
                Err(RotateError::Inactive(error)) => {
                    let stop = StopCause(error.to_string());
                    let cause = error.to_string();
                    let failure = Failure { id, kek_id: error.kek_id, class: "inactive", cause };
                    return Ok(Rotated::Failed(failure, Some(stop)));
                }
                Err(RotateError::Stopped) => return Ok(Rotated::Stopped),
                Err(RotateError::Database(error)) => return Err(error),
                Err(RotateError::Backend(key, error)) => {
                    let failure = Failure::new(key, kek_id, &error);
                    let outage = error.class.is_retryable().then(|| StopCause::outage(&error));
                    return Ok(Rotated::Failed(failure, StopCause::of(&error).or(outage)));
                }
                Err(RotateError::Unreadable { attribute, key, error }) => {
                    let cause = format!("{attribute} does not open: {}", causes::line(&error));
                    return failed(key, "unreadable", cause);
                }
                Err(error @ (RotateError::Keyless(key) | RotateError::Rowless(key))) => {
                    return failed(key, "inconsistent", error.to_string());
                }
                Err(error @ RotateError::NoBackend(..)) => {
                    return failed(id, "no_backend", error.to_string());
                }
                Err(error @ RotateError::Seal) => return failed(id, "unsealable", error.to_string()),
            }
        }
        failed(id, "contended", RotateError::Changed.to_string())
    }

    /// Whether there was anything to do.
    async fn try_rotate(&self, subject: SubjectId, pace: &Pace) -> Result<bool, RotateError> {
        let db = self.keyring.db();
        let stored = store::all_of(db, subject).await?;
        let is_meant = stored.iter().any(|(.., created_at)| *created_at < self.before.moment());
        let Some((newest, ..)) = stored.last().filter(|_| is_meant) else { return Ok(false) };
        // Before any call: a data key that belongs to nobody may be under a wrapping key that cannot be used, and that would end
        // the run for all others.
        if !self.registry.has_rows(db, subject).await? && store::newest(db, subject).await?.is_some() {
            return Err(RotateError::Rowless(*newest));
        }
        let mut opened = Vec::with_capacity(stored.len());
        for (id, stored, _) in &stored {
            opened.push(self.unwrap(*id, &stored.wrapped, pace).await?);
        }
        let id = DataKeyId { subject, version: (newest.version.get() + 1).into() };
        let (active, context) = (self.keyring.backends().active(), id.into());
        let generated = pace.call(|| active.generate(&context)).await;
        let generated = generated.map_err(|refusal| RotateError::refused(*newest, refusal))?;
        let fresh = DataKey::new(id, &generated.material);

        let transaction = begin_write(db).await?;
        let locked = LockedSubject::to_replace(&transaction, subject).await?;
        if locked.keys().is_empty() {
            // Forgotten just now.
            return Ok(false);
        }
        if !locked.keys().iter().copied().eq(stored.iter().map(|(id, stored, _)| (*id, stored.identity))) {
            return Err(RotateError::Changed);
        }
        // Only now: what was sealed before the lock was given is there, and nothing is added meanwhile.
        let mut error = None;
        let mut reseal = |row: &mut dyn SealedRow| {
            error = reseal(row, &opened, &fresh).err();
            error.is_none()
        };
        let rows = self.registry.reseal(&transaction, subject, &mut reseal).await?;
        if let Some(error) = error {
            return Err(error);
        }
        if rows == Some(0) {
            return Err(RotateError::Rowless(*newest));
        }
        let identity = DataKeyIdentity::generate();
        let commitment = Some(KeyCommitment::of(id, identity, &generated.material));
        let fresh = StoredKey { identity, wrapped: generated.wrapped, commitment };
        let unconfirmed = store::replace(&transaction, &locked, id.version, fresh).await?;
        self.journal.rotated(&transaction, id).await?;
        unconfirmed.confirm(&transaction, active.name()).await?;
        transaction.commit().await?;
        self.keyring.evict(subject, stored.into_iter().map(|(id, ..)| id)).await;
        Ok(true)
    }

    async fn unwrap(&self, id: DataKeyId, wrapped: &WrappedKey, pace: &Pace) -> Result<DataKey, RotateError> {
        let owner = self.keyring.backends().owner(&wrapped.kek_id);
        let owner = owner.ok_or_else(|| RotateError::NoBackend(wrapped.kek_id.clone()))?;
        let context = id.into();
        let material = pace.call(|| owner.unwrap(wrapped, &context)).await;
        Ok(DataKey::new(id, &material.map_err(|refusal| RotateError::refused(id, refusal))?))
    }
}

/// Seals each value of a row under a fresh key.
fn reseal(row: &mut dyn SealedRow, keys: &[DataKey], fresh: &DataKey) -> Result<(), RotateError> {
    let mut done = Ok(());
    row.each_sealed_mut(&mut |value| {
        if done.is_ok() {
            done = reseal_value(value, keys, fresh);
        }
    });
    done
}

fn reseal_value(value: SealedMut<'_>, keys: &[DataKey], fresh: &DataKey) -> Result<(), RotateError> {
    let (attribute, key) = (value.as_sealed().name().to_owned(), fresh.id());
    let header = value.as_sealed().header();
    let version = match header {
        Ok(header) => header.key_version,
        Err(error) => return Err(RotateError::Unreadable { attribute, key, error: error.into() }),
    };
    let id = DataKeyId { subject: key.subject, version };
    let old = keys.iter().find(|key| key.id() == id).ok_or(RotateError::Keyless(id))?;
    fresh.reseal(old, value).map_err(|error| match error {
        ResealError::Open(error) => RotateError::Unreadable { attribute, key: id, error },
        _ => RotateError::Seal,
    })
}

#[derive(Debug, thiserror::Error)]
enum RotateError {
    #[error(transparent)]
    Database(#[from] DbErr),
    #[error(transparent)]
    Inactive(Inactive),
    #[error("data key {0}: {1}")]
    Backend(DataKeyId, BackendError),
    #[error("no configured key backend owns the wrapping key `{0}`")]
    NoBackend(KekId),
    #[error("{attribute} does not open")]
    Unreadable { attribute: String, key: DataKeyId, error: OpenError },
    #[error("a value is sealed under data key {0}, which is not there")]
    Keyless(DataKeyId),
    #[error("data key {0} belongs to nobody: no row is about its subject")]
    Rowless(DataKeyId),
    #[error("a value cannot be sealed")]
    Seal,
    #[error("the subject's data keys changed each time they were about to be replaced")]
    Changed,
    #[error("the run is to end")]
    Stopped,
}

impl From<NotStored> for RotateError {
    fn from(error: NotStored) -> Self {
        match error {
            NotStored::Inactive(inactive) => Self::Inactive(inactive),
            NotStored::Database(error) => error.into(),
        }
    }
}

impl MayBeDatabases for RotateError {
    fn database_error(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl RotateError {
    fn refused(id: DataKeyId, refusal: Refusal) -> Self {
        match refusal {
            Refusal::Stopped => Self::Stopped,
            Refusal::Backend(error) => Self::Backend(id, error),
        }
    }
}
