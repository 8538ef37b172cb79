use std::{ops::Deref, sync::Arc};

use sea_orm::{ActiveModelTrait, ActiveValue, EntityTrait, IntoActiveModel, QuerySelect, Set};

use super::{Change, User, UserChanges, UserError, Users, create::username_taken, to_its_end};
use crate::{
    audit::{self, Action, NewEvent, Origin},
    database::{begin_write, now, on_the_primary},
    entity::user,
    envelope::{Attribute, DataKey, DataKeyId, Encrypted, SealError, SubjectId},
    keys::{KeyringError, OpenDataKey, store},
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
        let event = NewEvent::new(&origin, Action::Update).about(subject).attributes(&changes.attributes());
        for _ in 0..ATTEMPTS {
            let key = if changes.seals() { Some(self.newest_key(subject).await?) } else { None };
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
        // The row's lock orders this change against forgetting and against a rotation of the data key.
        let found = user::Entity::find_by_id(*subject.as_uuid()).lock_exclusive().one(&transaction).await?;
        let Some(row) = found else {
            transaction.rollback().await?;
            return Err(self.absent(subject).await);
        };
        if let Some(key) = key
            && store::newest(&transaction, subject).await? != Some((key.id().version, key.identity()))
        {
            return Ok(None);
        }
        let mut row = row.into_active_model();
        let key = key.map(Deref::deref);
        let UserChanges { username, email, phone } = changes;
        if let Some(username) = username {
            row.username = Set(username.clone());
        }
        apply(email, key, &mut row.email)?;
        apply(phone, key, &mut row.phone)?;
        row.updated_at = Set(now());
        let row = row.update(&transaction).await.map_err(username_taken)?;
        audit::append(&transaction, [event]).await?;
        transaction.commit().await?;
        Ok(Some(User::alone(self.clone(), row)))
    }

    async fn newest_key(&self, subject: SubjectId) -> Result<Arc<OpenDataKey>, UserError> {
        let mut gone = None;
        loop {
            let newest = store::newest(&self.db, subject).await?;
            // One that is gone and still the newest was not replaced by a rotation.
            let Some((version, identity)) = newest.filter(|newest| gone != Some(*newest)) else {
                return Err(self.absent_or_keyless(subject).await);
            };
            match self.keyring.open_identical(DataKeyId { subject, version }, identity).await {
                Err(error) if matches!(*error, KeyringError::Missing(_)) => gone = newest,
                opened => return opened.map_err(UserError::Keys),
            }
        }
    }

    /// A user who is there without a data key was damaged: nothing may be sealed for them.
    async fn absent_or_keyless(&self, subject: SubjectId) -> UserError {
        match self.find(subject).await {
            Ok(Some(_)) => UserError::Keys(Arc::new(KeyringError::NoDataKey(subject))),
            Ok(None) => UserError::NotFound(subject),
            Err(error) => error,
        }
    }
}

/// Makes the change to a column. What replaces needs a key.
fn apply<A: Attribute>(
    change: &Change<A>,
    key: Option<&DataKey>,
    column: &mut ActiveValue<Option<Encrypted<A>>>,
) -> Result<(), SealError> {
    match (change, key) {
        (Change::Keep, _) => {}
        (Change::Remove, _) => *column = Set(None),
        (Change::Replace(value), Some(key)) => *column = Set(Some(key.seal(value)?)),
        (Change::Replace(_), None) => return Err(SealError),
    }
    Ok(())
}
