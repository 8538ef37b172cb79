use sea_orm::{ColumnTrait, DatabaseConnection, DbErr, QueryFilter};

use super::{Columns, User, UserError, Users, columns::rows, input::is_username};
use crate::{
    database::{Together, one_of},
    entity::user,
    envelope::{SealedRow, SubjectId},
    ledger,
};

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
        match self.rows.find((columns, subject)).await? {
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

/// Rows of users, with some of their columns.
pub(super) type Rows = Together<(Columns, SubjectId), user::Model>;

/// The rows in a database.
pub(super) fn rows_of(db: DatabaseConnection) -> Rows {
    Rows::new(move |wanted| {
        let db = db.clone();
        Box::pin(async move { find_rows(&db, wanted).await })
    })
}

/// One statement for all, with the columns that any of them needs.
async fn find_rows(
    db: &DatabaseConnection,
    wanted: Vec<(Columns, SubjectId)>,
) -> Result<Vec<((Columns, SubjectId), user::Model)>, DbErr> {
    let columns = wanted.iter().fold(Columns::ID, |all, (columns, _)| all.and(*columns));
    let ids = wanted.iter().map(|(_, id)| *id.as_uuid()).collect();
    let these = one_of(db.get_database_backend(), user::Column::Id, ids);
    let rows = rows(db, columns.select().filter(these)).await?;
    if let [key] = wanted[..] {
        return Ok(rows.into_iter().map(|row| (key, row)).collect());
    }
    let of = |row: user::Model| {
        let own = wanted.iter().filter(|(_, id)| *id == row.subject());
        own.map(|key| (*key, row.clone())).collect::<Vec<_>>()
    };
    Ok(rows.into_iter().flat_map(of).collect())
}
