use std::collections::HashMap;

use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, QueryFilter, QueryTrait};

use super::{Columns, Reads, User, UserError, Users, columns::rows, input::is_username, values::and_values};
use crate::{
    database::{Together, one_of},
    entity::user,
    envelope::{SealedRow, SubjectId},
    keys::{FoundKey, KeyCommitment, Keyring, KeyringError},
    ledger,
};

impl Users {
    /// The user with this id; `None` if there never was one.
    ///
    /// # Errors
    ///
    /// [`UserError::Forgotten`], [`UserError::LedgerWentBack`], [`UserError::Database`].
    pub async fn find(&self, subject: SubjectId) -> Result<Option<User>, UserError> {
        self.find_with(subject, &Reads::COLUMNS).await
    }

    /// The same, with what is read of them.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn find_with(&self, subject: SubjectId, reads: &Reads) -> Result<Option<User>, UserError> {
        self.require_trusted_ledger()?;
        match self.rows.find((reads.columns, subject)).await? {
            Some(Found { row, keys }) => self.with_values(Some(row), reads, keys).await,
            None if ledger::find(&self.db, subject).await?.is_some() => Err(UserError::Forgotten(subject)),
            None => Ok(None),
        }
    }

    /// The user with this username, with what is read of them. `None` if nobody has it, or its owner was forgotten.
    ///
    /// # Errors
    ///
    /// [`UserError::LedgerWentBack`], [`UserError::Database`].
    pub async fn find_by_username(&self, username: &str, reads: &Reads) -> Result<Option<User>, UserError> {
        self.require_trusted_ledger()?;
        // Databases differ in what they take for a text at all.
        if !is_username(username) {
            return Ok(None);
        }
        let select = reads.columns.select().filter(user::Column::Username.eq(username));
        let statement = self.db.get_database_backend().build(&select.into_query());
        self.with_values(rows(&self.db, statement).await?.pop(), reads, Vec::new()).await
    }

    async fn with_values(
        &self,
        row: Option<user::Model>,
        reads: &Reads,
        found: Vec<FoundKey>,
    ) -> Result<Option<User>, UserError> {
        let row = and_values(&self.db, row.into_iter().collect(), &reads.declared).await?;
        Ok(User::together(self, row, &reads.declared, found).pop())
    }

    /// What fixes a user's data key: of the newest one.
    ///
    /// # Errors
    ///
    /// [`UserError::Forgotten`], [`UserError::NotFound`], [`UserError::LedgerWentBack`], [`UserError::Keys`], [`UserError::Database`].
    pub async fn key_commitment(&self, subject: SubjectId) -> Result<KeyCommitment, UserError> {
        self.require_trusted_ledger()?;
        match self.keyring.commitment(subject).await {
            Ok(commitment) => Ok(commitment),
            Err(error) if matches!(*error, KeyringError::NoDataKey(_)) => Err(self.absent(subject).await),
            Err(error) => Err(UserError::Keys(error)),
        }
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
pub(super) type Rows = Together<(Columns, SubjectId), Found>;

/// A user's row, and the data keys that were read with it, if any were.
#[derive(Clone, Debug)]
pub(super) struct Found {
    row: user::Model,
    keys: Vec<FoundKey>,
}

/// The rows in a database.
pub(super) fn rows_of(db: DatabaseConnection, keyring: Keyring) -> Rows {
    Rows::new(move |wanted| {
        let (db, keyring) = (db.clone(), keyring.clone());
        Box::pin(async move { find_rows(&db, &keyring, wanted).await })
    })
}

/// One statement for all, with the columns that any of them needs; with their data keys, if those are needed and most are not open.
async fn find_rows(
    db: &DatabaseConnection,
    keyring: &Keyring,
    wanted: Vec<(Columns, SubjectId)>,
) -> Result<Vec<((Columns, SubjectId), Found)>, DbErr> {
    let columns = wanted.iter().fold(Columns::ID, |all, (columns, _)| all.and(*columns));
    let subjects = wanted.iter().map(|(_, id)| *id);
    let with_keys = if columns.need_keys() { keyring.with_keys(subjects.clone()) } else { None };
    let ids = subjects.map(|id| *id.as_uuid()).collect();
    let these = one_of(db.get_database_backend(), user::Column::Id, ids);
    let mut select = columns.select().filter(these);
    if let Some(keys) = &with_keys {
        select = keys.join(select, user::Column::Id);
    }
    let mut found = HashMap::with_capacity(wanted.len());
    for result in db.query_all(&select.into_query()).await? {
        let row = user::Model::by_places(&result)?;
        let subject = row.subject();
        let key = with_keys.as_ref().and_then(|keys| keys.found(&result, Columns::count(), subject));
        // Who has several data keys comes several times.
        found.entry(subject).or_insert_with(|| Found { row, keys: Vec::new() }).keys.extend(key);
    }
    let mut answers = Vec::with_capacity(found.len());
    for (place, key @ (_, id)) in wanted.iter().enumerate() {
        let again = wanted[place + 1..].iter().any(|(_, later)| later == id);
        let of_the_id = if again { found.get(id).cloned() } else { found.remove(id) };
        answers.extend(of_the_id.map(|found| (*key, found)));
    }
    Ok(answers)
}
