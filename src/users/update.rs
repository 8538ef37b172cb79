use std::sync::Arc;

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, QuerySelect};

use super::{User, UserChanges, UserError, Users, create::username_taken, to_its_end};
use crate::{
    audit::{self, Action, NewEvent, Origin},
    database::{begin_write, now, on_the_primary},
    entity::user,
    envelope::SubjectId,
    keys::{KeyringError, OpenDataKey, subjects::LockedSubject},
};

/// How often a change is sealed anew because the data key was rotated meanwhile.
const ATTEMPTS: usize = 5;

impl Users {
    /// Changes a user. Needs the key backend only if a new value has to be sealed.
    ///
    /// # Errors
    ///
    /// [`UserError::NotFound`], [`UserError::Forgotten`], [`UserError::UsernameTaken`],
    /// [`UserError::Keys`], [`UserError::LedgerWentBack`], [`UserError::Database`]; then nothing is changed.
    pub async fn update(
        &self,
        subject: SubjectId,
        changes: UserChanges,
        origin: &Origin,
    ) -> Result<User, UserError> {
        self.require_trusted_ledger()?;
        to_its_end(self.clone().update_now(subject, changes, origin.clone())).await
    }

    async fn update_now(
        self,
        subject: SubjectId,
        changes: UserChanges,
        origin: Origin,
    ) -> Result<User, UserError> {
        let event = NewEvent::new(&origin, Action::Update).about(subject).attributes(&changes.names());
        for _ in 0..ATTEMPTS {
            let key = if changes.personal.seals() { Some(self.newest_key(subject).await?) } else { None };
            let attempt = || self.try_update(subject, &changes, key.as_deref(), &event);
            if let Some(user) = on_the_primary(&self.db, attempt).await? {
                return Ok(user);
            }
        }
        Err(UserError::Contended)
    }

    /// `None` if `key` is not the subject's newest data key any more.
    async fn try_update(
        &self,
        subject: SubjectId,
        changes: &UserChanges,
        key: Option<&OpenDataKey>,
        event: &NewEvent,
    ) -> Result<Option<User>, UserError> {
        let transaction = begin_write(&self.db).await?;
        // First the subject's lock, which orders this change against forgetting and against a rotation of the data key.
        let locked = LockedSubject::to_seal(&transaction, subject).await?;
        let found = user::Entity::find_by_id(*subject.as_uuid()).lock_exclusive().one(&transaction).await?;
        let Some(mut row) = found else {
            transaction.rollback().await?;
            return Err(self.absent(subject).await);
        };
        let sealer = key.map(|key| locked.sealer(key));
        if sealer.is_some_and(|sealer| sealer.is_none()) {
            return Ok(None);
        }
        changes.personal.apply(sealer.flatten(), &mut row)?;
        if let Some(username) = &changes.username {
            username.as_str().clone_into(&mut row.username);
        }
        row.updated_at = now();
        let row = row.into_active_model().reset_all().update(&transaction).await.map_err(username_taken)?;
        audit::append(&transaction, [event]).await?;
        transaction.commit().await?;
        Ok(Some(User::alone(self.clone(), row)))
    }

    async fn newest_key(&self, subject: SubjectId) -> Result<Arc<OpenDataKey>, UserError> {
        match self.keyring.open_newest(subject).await {
            Err(error) if matches!(*error, KeyringError::NoDataKey(_)) => {
                Err(self.absent_or_keyless(subject, error).await)
            }
            opened => opened.map_err(UserError::Keys),
        }
    }

    /// A user who is there without a data key was damaged: nothing may be sealed for them.
    async fn absent_or_keyless(&self, subject: SubjectId, error: Arc<KeyringError>) -> UserError {
        match self.find(subject).await {
            Ok(Some(_)) => UserError::Keys(error),
            Ok(None) => UserError::NotFound(subject),
            Err(error) => error,
        }
    }
}
