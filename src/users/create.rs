use sea_orm::{ActiveModelTrait, EntityTrait, SqlErr};

use super::{AttributeChanges, NewUser, User, UserError, Users, run_to_completion, values};
use crate::{
    audit::{self, Action, NewEvent, Origin},
    database::{begin_write, on_the_primary},
    entity::user,
    envelope::{SealedRow, SubjectId},
    keys::{NewDataKey, store},
    search::NewTags,
};

impl Users {
    /// Creates a user with a data key of their own. One call to the key backend.
    ///
    /// # Errors
    ///
    /// [`UserError::UsernameTaken`], [`UserError::Taken`], [`UserError::IndexNotReady`], [`UserError::Keys`], [`UserError::LedgerWentBack`],
    /// [`UserError::Database`]; then nothing is stored.
    pub async fn create(&self, new: NewUser, origin: &Origin) -> Result<User, UserError> {
        self.require_trusted_ledger()?;
        run_to_completion(self.clone().create_now(new, origin.clone())).await
    }

    async fn create_now(self, new: NewUser, origin: Origin) -> Result<User, UserError> {
        let subject = SubjectId::generate();
        let created = self.with_current_indexes(|| self.try_create(subject, &new, &origin)).await;
        if !created.as_ref().is_err_and(UserError::is_inactive_wrapping_key) {
            return created;
        }
        // The backend may have missed that another wrapping key is current.
        self.keyring.look().await;
        self.with_current_indexes(|| self.try_create(subject, &new, &origin)).await
    }

    async fn try_create(
        &self,
        subject: SubjectId,
        new: &NewUser,
        origin: &Origin,
    ) -> Result<User, UserError> {
        // Before the transaction: none is held open over a call to the key backend.
        let changes: Vec<_> = new.personal.tagged().collect();
        let tags = self.search.tagger(&changes, None).await?.tags(subject, changes)?;
        let data_key = self.keyring.generate(subject).await?;
        let event = NewEvent::new(origin, Action::Create).about(subject).attributes(&new.names());
        let row = new.row(subject, data_key.sealer())?;
        on_the_primary(&self.db, || self.store(&row, &new.personal, &tags, &data_key, &event)).await?;
        let key = data_key.key.clone();
        self.keyring.remember(data_key).await;
        Ok(User::written(self.clone(), row, Some(key)))
    }

    async fn store(
        &self,
        row: &user::Model,
        personal: &AttributeChanges,
        tags: &NewTags,
        data_key: &NewDataKey,
        event: &NewEvent,
    ) -> Result<(), UserError> {
        let transaction = begin_write(&self.db).await?;
        let insert = user::Entity::insert(user::ActiveModel::from(row.clone()).reset_all());
        insert.exec_without_returning(&transaction).await.map_err(username_taken)?;
        let sealer = Some(data_key.sealer());
        values::change(&transaction, row.subject(), &personal.declared, sealer, row.created_at).await?;
        tags.insert(&transaction).await?;
        let stored = store::insert(&transaction, data_key.key.id(), data_key.stored.clone()).await?;
        audit::append(&transaction, [event]).await?;
        self.keyring.confirm(&transaction, stored).await?;
        tags.confirm(&transaction).await?;
        Ok(transaction.commit().await?)
    }
}

/// Of all unique columns, only the username's value comes from outside.
pub(super) fn username_taken(error: sea_orm::DbErr) -> UserError {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => UserError::UsernameTaken,
        _ => error.into(),
    }
}
