//! The table `access_tokens`.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, Set, SqlErr, sea_query::Expr,
};
use uuid::Uuid;

use super::{Scopes, SecretToken, TokenHash};
use crate::{
    audit::{self, Action, NewEvent, Origin},
    database::{MayBeDatabases, WriteTransaction, begin_write, now, on_the_primary, read_clock},
    entity::{
        access_token::{Column, Entity, Model},
        erasure, user,
    },
    envelope::SubjectId,
    ledger,
    names::{MAX_NAME, is_name},
};

/// A token that is to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What records call its bearer: 1 to 64 letters, digits, dots, dashes or underscores. Never used twice.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// The one user whom it is for.
    pub subject: Option<SubjectId>,
    /// Instead of the configured budget.
    pub subjects_per_minute: Option<u32>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Makes a token, and leaves an event in the audit trail. The row says all about it but the token itself.
///
/// # Errors
///
/// [`TokenError`]; then there is no token.
pub async fn create(
    db: &DatabaseConnection,
    new: NewToken,
    origin: &Origin,
) -> Result<(Model, SecretToken), TokenError> {
    if !is_name(new.name.as_bytes()) {
        return Err(TokenError::Name);
    }
    if new.scopes.is_empty() {
        return Err(TokenError::NoScope);
    }
    let token = SecretToken::generate()?;
    let row = Model {
        id: Uuid::now_v7(),
        name: new.name,
        token_hash: token.hash().as_bytes().to_vec(),
        scopes: new.scopes.to_string(),
        subject_id: new.subject.map(Uuid::from),
        subjects_per_minute: new.subjects_per_minute.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)),
        created_by: origin.actor().to_owned(),
        created_at: read_clock(db).await?,
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    on_the_primary(db, || insert(db, &row, origin)).await?;
    Ok((row, token))
}

async fn insert(db: &DatabaseConnection, row: &Model, origin: &Origin) -> Result<(), TokenError> {
    let transaction = begin_write(db).await?;
    if let Some(subject) = row.subject_id {
        require_user(&transaction, subject.into()).await?;
    }
    let insert = Entity::insert(row.clone().into_active_model().reset_all());
    insert.exec_without_returning(&transaction).await.map_err(|error| match error.sql_err() {
        // Of the unique columns, only the name comes from outside.
        Some(SqlErr::UniqueConstraintViolation(_)) => TokenError::Taken(row.name.clone()),
        _ => error.into(),
    })?;
    audit::append(&transaction, [&event(origin, Action::TokenCreate, row)]).await?;
    Ok(transaction.commit().await?)
}

/// Refuses who is not there or was forgotten, and has a forgetting wait until the transaction is over: it then finds the token, and
/// removes it.
async fn require_user(transaction: &WriteTransaction, subject: SubjectId) -> Result<(), TokenError> {
    let id = *subject.as_uuid();
    let user = user::Entity::find_by_id(id).lock_shared().one(transaction).await?;
    // Also of somebody whom a restored backup brought back.
    let erasure = erasure::Entity::find().filter(erasure::Column::SubjectId.eq(id)).one(transaction).await?;
    match (erasure, user) {
        (Some(_), _) => Err(TokenError::Forgotten(subject)),
        (None, None) => Err(TokenError::NoUser(subject)),
        (None, Some(_)) => Ok(()),
    }
}

/// All tokens, the newest last.
///
/// # Errors
///
/// The database's error.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
    Entity::find().order_by_asc(Column::Id).all(db).await
}

/// Ends a token, by its name or id, and leaves an event in the audit trail. One that was revoked before keeps the
/// time it was.
///
/// # Errors
///
/// [`TokenError::Unknown`], [`TokenError::Database`].
pub async fn revoke(db: &DatabaseConnection, name_or_id: &str, origin: &Origin) -> Result<Model, TokenError> {
    on_the_primary(db, || try_revoke(db, name_or_id, origin)).await
}

async fn try_revoke(db: &DatabaseConnection, name_or_id: &str, origin: &Origin) -> Result<Model, TokenError> {
    let which = match Uuid::try_parse(name_or_id) {
        Ok(id) => Column::Id.eq(id),
        Err(_) => Column::Name.eq(name_or_id),
    };
    let transaction = begin_write(db).await?;
    let found = Entity::find().filter(which).lock_exclusive().one(&transaction).await?;
    let row = found.ok_or_else(|| TokenError::Unknown(name_or_id.chars().take(MAX_NAME).collect()))?;
    if row.revoked_at.is_some() {
        // It may have been revoked before such entries were written.
        ledger::append_revocations(&transaction, &[row.id], origin.actor()).await?;
        transaction.commit().await?;
        return Ok(row);
    }
    let mut revoked = row.into_active_model();
    revoked.revoked_at = Set(Some(now()));
    let row = revoked.update(&transaction).await?;
    ledger::append_revocations(&transaction, &[row.id], origin.actor()).await?;
    audit::append(&transaction, [&event(origin, Action::TokenRevoke, &row)]).await?;
    transaction.commit().await?;
    Ok(row)
}

/// Removes the tokens of a user who is forgotten, in the caller's transaction.
///
/// # Errors
///
/// The database's error.
pub async fn remove_of(db: &impl ConnectionTrait, subject: SubjectId) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::SubjectId.eq(*subject.as_uuid())).exec(db).await.map(drop)
}

/// The token with this hash, revoked and expired ones included.
pub(super) async fn find(db: &impl ConnectionTrait, hash: TokenHash) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::TokenHash.eq(hash.as_bytes().as_slice())).one(db).await
}

/// Records that a token was used just now.
pub(super) async fn touch(db: &DatabaseConnection, id: Uuid) -> Result<(), DbErr> {
    on_the_primary(db, || async {
        let transaction = begin_write(db).await?;
        let touch = Entity::update_many().col_expr(Column::LastUsedAt, Expr::value(now()));
        touch.filter(Column::Id.eq(id)).exec(&transaction).await?;
        transaction.commit().await
    })
    .await
}

pub(super) fn event(origin: &Origin, action: Action, row: &Model) -> NewEvent {
    let event = NewEvent::new(origin, action).target(row.id);
    row.subject_id.into_iter().fold(event, |event, subject| event.about(subject.into()))
}

/// What cannot be done with a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name.
    #[error("a token's name is 1 to 64 letters, digits, dots, dashes or underscores")]
    Name,
    /// Nothing allowed.
    #[error("a token without a scope allows nothing; --scopes says what it allows")]
    NoScope,
    /// The name was used before.
    #[error("there is or was a token named `{0}`; names are not used twice, so that records stay clear")]
    Taken(String),
    /// Nobody to be bound to.
    #[error("there is no user {0}; a token for one user's own data needs one")]
    NoUser(SubjectId),
    /// Nobody to be bound to any more.
    #[error("the user {0} was forgotten; nobody gets a token for them")]
    Forgotten(SubjectId),
    /// No such token.
    #[error("there is no token `{0}`; `oubliette-admin tokens list` shows them")]
    Unknown(String),
    /// No randomness.
    #[error("the operating system gives no randomness")]
    Random(#[from] getrandom::Error),
    /// The database.
    #[error("the tokens cannot be read or written")]
    Database(#[from] DbErr),
}

impl MayBeDatabases for TokenError {
    fn database_error(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}
