//! Giving subjects fresh data keys: the answer to a data key that leaked.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream::FuturesUnordered};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, QuerySelect, Set, sea_query::Expr,
};

use super::Users;
use crate::{
    audit::{self, Action, NewEvent, Origin},
    causes,
    database::{Before, MayBeDatabases, begin_write, on_the_primary, scrub},
    entity::{data_key, user},
    envelope::{Attribute, DataKey, DataKeyId, Encrypted, OpenError, SubjectId},
    keys::{
        BackendError, Backends, DataKeyIdentity, Inactive, KekId, NotStored, WrappedKey,
        store::{self, StoredKey},
        sweep::{
            Chore, Controls, Dealt, Failure, NewOperation, OperationKind, Pace, Refusal, Report, StopCause,
            SweepOptions, conduct,
        },
    },
};

/// How often a subject is begun with again whose data changed meanwhile.
const ATTEMPTS: usize = 10;

/// The engine that gives subjects fresh data keys, and seals their attributes anew.
#[derive(Debug)]
pub struct Rotate {
    chore: Arc<RotateChore>,
}

#[derive(Debug)]
struct RotateChore {
    users: Users,
    subjects: Option<Vec<SubjectId>>,
    before: Before,
    origin: Origin,
}

impl Rotate {
    /// For these subjects, or all of them, as far as their data key was made before a moment.
    #[must_use]
    pub fn new(users: Users, subjects: Option<Vec<SubjectId>>, before: Before, origin: Origin) -> Self {
        Self { chore: Arc::new(RotateChore { users, subjects, before, origin }) }
    }

    /// How many data keys are to be replaced.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn count(&self) -> Result<u64, DbErr> {
        let made_before = self.chore.before.holds(Expr::col(data_key::Column::CreatedAt));
        data_key::Entity::find().filter(self.chore.chosen()).filter(made_before).count(self.db()).await
    }

    /// How many of those claim to be made later than now: a server made them whose clock was ahead. They are replaced, too.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn count_ahead(&self) -> Result<u64, DbErr> {
        let ahead = self.chore.before.is_ahead(Expr::col(data_key::Column::CreatedAt));
        data_key::Entity::find().filter(self.chore.chosen()).filter(ahead).count(self.db()).await
    }

    /// Replaces them. Each subject is one transaction.
    ///
    /// # Errors
    ///
    /// The database's error. What was done until then is stored, and the same run again does the rest.
    pub async fn run(&self, options: &SweepOptions, controls: &Controls) -> Result<Report, DbErr> {
        let new = NewOperation {
            kind: OperationKind::Rotate,
            actor: self.chore.origin.actor().to_owned(),
            from: None,
            to: None,
            planned: self.count().await?,
        };
        on_the_primary(self.db(), || {
            store::settle_made_ahead(self.db(), self.chore.chosen(), &self.chore.before)
        })
        .await?;
        let report = conduct(self.db(), new, vec![self.chore.clone()], options, controls).await;
        scrub(self.db()).await;
        report
    }

    fn db(&self) -> &DatabaseConnection {
        &self.chore.users.db
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
impl Chore for RotateChore {
    fn remaining(&self) -> Condition {
        self.chosen().add(data_key::Column::CreatedAt.lt(self.before.moment()))
    }

    async fn deal(&self, keys: Vec<(DataKeyId, WrappedKey)>, pace: &Pace) -> Result<Dealt, DbErr> {
        let mut subjects: Vec<_> = keys.into_iter().map(|(id, wrapped)| (id, wrapped.kek_id)).collect();
        subjects.dedup_by_key(|(id, _)| id.subject);
        let rotations = subjects.into_iter().map(|(id, kek_id)| self.rotate(id, kek_id, pace));
        let mut rotations: FuturesUnordered<_> = rotations.collect();
        let mut dealt = Dealt::default();
        while let Some(rotated) = rotations.next().await {
            match rotated? {
                Rotated::Yes => dealt.done += 1,
                Rotated::NotNeeded => dealt.changed += 1,
                Rotated::Failed(failure, stop) => {
                    dealt.failures.push(failure);
                    if let Some(cause) = stop {
                        pace.abort();
                        dealt.stop.get_or_insert(cause);
                    }
                }
                Rotated::Stopped => {}
            }
        }
        Ok(dealt)
    }
}

impl RotateChore {
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
            match on_the_primary(&self.users.db, || self.try_rotate(id.subject, pace)).await {
                Ok(true) => return Ok(Rotated::Yes),
                Ok(false) => return Ok(Rotated::NotNeeded),
                Err(RotateError::Changed) => {}
                Err(RotateError::Inactive(_)) if !looked => {
                    looked = true;
                    // The backend may have missed that another wrapping key is current.
                    self.users.keyring.look().await;
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
                Err(error @ (RotateError::Keyless(key) | RotateError::Userless(key))) => {
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
        let db = &self.users.db;
        let keys = data_key::Entity::find()
            .filter(data_key::Column::SubjectId.eq(*subject.as_uuid()))
            .all(db)
            .await?;
        if !keys.iter().any(|key| key.created_at < self.before.moment()) {
            return Ok(false);
        }
        let mut stored = Vec::with_capacity(keys.len());
        for key in keys {
            let identity: DataKeyIdentity = key.id.into();
            let (id, wrapped) = store::parse(key)?;
            stored.push((id, identity, wrapped));
        }
        let Some((newest, identity)) =
            stored.iter().map(|(id, identity, _)| (*id, *identity)).max_by_key(|(id, _)| *id)
        else {
            return Ok(false);
        };
        let Some(row) = user::Entity::find_by_id(*subject.as_uuid()).one(db).await? else {
            // Forgotten just now; or a data key of nobody.
            let still_there = store::newest(db, subject).await?.is_some();
            return if still_there { Err(RotateError::Userless(newest)) } else { Ok(false) };
        };
        let backends = self.users.keyring.backends();
        let mut opened = Vec::with_capacity(stored.len());
        for (id, _, wrapped) in &stored {
            opened.push(unwrap(backends, *id, wrapped, pace).await?);
        }
        let id = DataKeyId { subject, version: (newest.version.get() + 1).into() };
        let (active, context) = (backends.active(), id.into());
        let generated = pace.call(|| active.generate(&context)).await;
        let generated = generated.map_err(|refusal| RotateError::refused(newest, refusal))?;
        let fresh = DataKey::new(id, &generated.material);
        // Every column by name: one that is sealed and is not sealed anew here is lost with the old key.
        let user::Model { id: _, username: _, email, phone, created_at: _, updated_at: _ } = row;
        let new_email = reseal(email.as_ref(), &opened, &fresh)?;
        let new_phone = reseal(phone.as_ref(), &opened, &fresh)?;

        let transaction = begin_write(db).await?;
        // The row's lock orders this against forgetting and against changes.
        let locked = user::Entity::find_by_id(*subject.as_uuid()).lock_exclusive().one(&transaction).await?;
        let Some(locked) = locked else { return Ok(false) };
        let unchanged = locked.email == email
            && locked.phone == phone
            && store::newest(&transaction, subject).await? == Some((newest.version, identity));
        if !unchanged {
            return Err(RotateError::Changed);
        }
        let mut changed = locked.into_active_model();
        // `updated_at` stays: nothing that anybody could see has changed.
        changed.email = Set(new_email);
        changed.phone = Set(new_phone);
        changed.update(&transaction).await?;
        let old = store::destroy(&transaction, subject).await?;
        let fresh = StoredKey { identity: DataKeyIdentity::generate(), wrapped: generated.wrapped };
        let stored = store::insert(&transaction, id, fresh).await?;
        let event = NewEvent::new(&self.origin, Action::KeyRotate).about(subject);
        let event = event.target(format_args!("data key {}", id.version));
        audit::append(&transaction, [&event]).await?;
        stored.confirm(&transaction, active.name()).await?;
        transaction.commit().await?;
        self.users.keyring.evict(subject, old.into_iter().map(|(id, _)| id)).await;
        Ok(true)
    }
}

async fn unwrap(
    backends: &Backends,
    id: DataKeyId,
    wrapped: &WrappedKey,
    pace: &Pace,
) -> Result<DataKey, RotateError> {
    let owner = backends.owner(&wrapped.kek_id);
    let owner = owner.ok_or_else(|| RotateError::NoBackend(wrapped.kek_id.clone()))?;
    let context = id.into();
    let material = pace.call(|| owner.unwrap(wrapped, &context)).await;
    Ok(DataKey::new(id, &material.map_err(|refusal| RotateError::refused(id, refusal))?))
}

fn reseal<A: Attribute>(
    value: Option<&Encrypted<A>>,
    keys: &[DataKey],
    fresh: &DataKey,
) -> Result<Option<Encrypted<A>>, RotateError> {
    let Some(value) = value else { return Ok(None) };
    let key = fresh.id();
    let unreadable = |error| RotateError::Unreadable { attribute: A::NAME, key, error };
    let version = value.header().map_err(|error| unreadable(error.into()))?.key_version;
    let id = DataKeyId { subject: key.subject, version };
    let key = keys.iter().find(|key| key.id() == id).ok_or(RotateError::Keyless(id))?;
    let opened = key.open(value).map_err(unreadable)?;
    fresh.seal(&opened).map(Some).map_err(|_| RotateError::Seal)
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
    Unreadable { attribute: &'static str, key: DataKeyId, error: OpenError },
    #[error("a value is sealed under data key {0}, which is not there")]
    Keyless(DataKeyId),
    #[error("data key {0} belongs to no user")]
    Userless(DataKeyId),
    #[error("a value cannot be sealed")]
    Seal,
    #[error("the user's data changed each time it was about to be stored")]
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
