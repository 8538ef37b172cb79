use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, QuerySelect};

use super::{User, UserChanges, UserError, Users, create::username_taken, run_to_completion, values};
use crate::{
    audit::{self, Action, NewEvent, Origin},
    database::{WriteTransaction, begin_write, now, on_the_primary},
    entity::user,
    envelope::SubjectId,
    keys::{
        KeyringError,
        subjects::{LockedSubject, Sealer, SealingError, SealingTransaction},
    },
    search::NewTags,
};

impl Users {
    /// Changes a user. Needs the key backend only if a new value has to be sealed.
    ///
    /// # Errors
    ///
    /// [`UserError::NotFound`], [`UserError::Forgotten`], [`UserError::UsernameTaken`], [`UserError::Taken`], [`UserError::IndexNotReady`],
    /// [`UserError::Keys`], [`UserError::LedgerWentBack`], [`UserError::Database`]; then nothing is changed.
    pub async fn update(
        &self,
        subject: SubjectId,
        changes: UserChanges,
        origin: &Origin,
    ) -> Result<User, UserError> {
        self.require_trusted_ledger()?;
        run_to_completion(self.clone().update_now(subject, changes, origin.clone())).await
    }

    async fn update_now(
        self,
        subject: SubjectId,
        changes: UserChanges,
        origin: Origin,
    ) -> Result<User, UserError> {
        let event = NewEvent::new(&origin, Action::Update).about(subject).attributes(&changes.names());
        let change = || on_the_primary(&self.db, || self.try_update(subject, &changes, &event));
        self.with_current_indexes(change).await
    }

    async fn try_update(
        &self,
        subject: SubjectId,
        changes: &UserChanges,
        event: &NewEvent,
    ) -> Result<User, UserError> {
        let personal = &changes.personal;
        let tagged: Vec<_> = personal.tagged().collect();
        let tags = self.search.tagger(&tagged, None).await?.tags(subject, tagged)?;
        // First the subject's lock, which orders this change against forgetting and against a rotation of the data key.
        let row = if changes.personal.seals() {
            let transaction = self.begin_sealing(subject).await?;
            let row = write(&transaction, subject, changes, &tags, Some(transaction.sealer()), event).await?;
            transaction.commit().await?;
            row
        } else {
            let transaction = begin_write(&self.db).await?;
            LockedSubject::to_seal(&transaction, subject).await?;
            let row = write(&transaction, subject, changes, &tags, None, event).await?;
            transaction.commit().await?;
            row
        };
        match row {
            Some(row) => Ok(User::written(self.clone(), row, None)),
            None => Err(self.absent(subject).await),
        }
    }

    async fn begin_sealing(&self, subject: SubjectId) -> Result<SealingTransaction, UserError> {
        match SealingTransaction::begin(&self.keyring, subject).await {
            Err(SealingError::NoDataKey(_)) => Err(self.absent_or_keyless(subject).await),
            begun => Ok(begun?),
        }
    }

    /// A user who is there without a data key was damaged: nothing may be sealed for them.
    async fn absent_or_keyless(&self, subject: SubjectId) -> UserError {
        match self.find(subject).await {
            Ok(Some(_)) => KeyringError::NoDataKey(subject).into(),
            Ok(None) => UserError::NotFound(subject),
            Err(error) => error,
        }
    }
}

/// Writes the changes. `None` if there is no such user, or not any more.
async fn write(
    transaction: &WriteTransaction,
    subject: SubjectId,
    changes: &UserChanges,
    tags: &NewTags,
    sealer: Option<Sealer<'_>>,
    event: &NewEvent,
) -> Result<Option<user::Model>, UserError> {
    let found = user::Entity::find_by_id(*subject.as_uuid()).lock_exclusive().one(transaction).await?;
    let Some(mut row) = found else { return Ok(None) };
    changes.personal.columns.apply(sealer, &mut row)?;
    if let Some(username) = &changes.username {
        username.as_str().clone_into(&mut row.username);
    }
    row.updated_at = now();
    tags.replace(transaction).await?;
    values::change(transaction, subject, &changes.personal.declared, sealer, row.updated_at).await?;
    let row = row.into_active_model().reset_all().update(transaction).await.map_err(username_taken)?;
    audit::append(transaction, [event]).await?;
    tags.confirm(transaction).await?;
    Ok(Some(row))
}
