use sea_orm::{ColumnTrait, QueryFilter};

use super::{Columns, User, UserError, Users, columns::rows, input::is_username};
use crate::{entity::user, envelope::SubjectId, ledger};

impl Users {
    /// The user with this id; `None` if there never was one.
    ///
    /// # Errors
    ///
    /// [`UserError::Forgotten`], [`UserError::LedgerWentBack`], [`UserError::Database`].
    pub async fn find(&self, subject: SubjectId) -> Result<Option<User>, UserError> {
        self.find_with(subject, Columns::ALL).await
    }

    /// The same with some of the columns: the others must not be asked for.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn find_with(&self, subject: SubjectId, columns: Columns) -> Result<Option<User>, UserError> {
        self.require_trusted_ledger()?;
        let select = columns.select().filter(user::Column::Id.eq(*subject.as_uuid()));
        match rows(&self.db, select).await?.pop() {
            Some(row) => Ok(Some(User::alone(self.clone(), row))),
            None if ledger::find(&self.db, subject).await?.is_some() => Err(UserError::Forgotten(subject)),
            None => Ok(None),
        }
    }

    /// The user with this username, with some of the columns: the others must not be asked for. `None` if nobody has
    /// it, or its owner was forgotten.
    ///
    /// # Errors
    ///
    /// [`UserError::LedgerWentBack`], [`UserError::Database`].
    pub async fn find_by_username(
        &self,
        username: &str,
        columns: Columns,
    ) -> Result<Option<User>, UserError> {
        self.require_trusted_ledger()?;
        // Databases differ in what they take for a text at all.
        if !is_username(username) {
            return Ok(None);
        }
        let select = columns.select().filter(user::Column::Username.eq(username));
        Ok(rows(&self.db, select).await?.pop().map(|row| User::alone(self.clone(), row)))
    }

    /// What to answer about a user whose row is gone.
    pub(super) async fn absent(&self, subject: SubjectId) -> UserError {
        match ledger::find(&self.db, subject).await {
            Ok(Some(_)) => UserError::Forgotten(subject),
            Ok(None) => UserError::NotFound(subject),
            Err(error) => error.into(),
        }
    }
}
