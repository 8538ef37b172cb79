//! The table `access_tokens`.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, IntoActiveModel,
    QueryFilter, QueryOrder, SqlErr, sea_query::Expr,
};
use uuid::Uuid;

use super::{Scopes, SecretToken, TokenHash};
use crate::{
    entity::access_token::{Column, Entity, Model},
    envelope::SubjectId,
};

/// Longest name of a token, in bytes.
const MAX_NAME_LENGTH: usize = 64;

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
    /// Who makes it.
    pub created_by: String,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Makes a token. The row says all about it but the token itself.
///
/// # Errors
///
/// [`TokenError`]; then there is no token.
pub async fn create(db: &impl ConnectionTrait, new: NewToken) -> Result<(Model, SecretToken), TokenError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if new.name.is_empty() || new.name.len() > MAX_NAME_LENGTH || !new.name.bytes().all(known) {
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
        created_by: new.created_by.chars().take(255).collect(),
        created_at: now(),
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    let insert = Entity::insert(row.clone().into_active_model().reset_all());
    match insert.exec_without_returning(db).await {
        Ok(_) => Ok((row, token)),
        // Of the unique columns, only the name comes from outside.
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
            Err(TokenError::Taken(row.name))
        }
        Err(error) => Err(error.into()),
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

/// Ends a token, by its name or id. One that was revoked before keeps the time it was.
///
/// # Errors
///
/// [`TokenError::Unknown`], [`TokenError::Database`].
pub async fn revoke(db: &impl ConnectionTrait, name_or_id: &str) -> Result<Model, TokenError> {
    let which = match Uuid::try_parse(name_or_id) {
        Ok(id) => Column::Id.eq(id),
        Err(_) => Column::Name.eq(name_or_id),
    };
    let unknown = || TokenError::Unknown(name_or_id.chars().take(64).collect());
    let row = Entity::find().filter(which).one(db).await?.ok_or_else(unknown)?;
    let this = || Column::Id.eq(row.id);
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now()))
        .filter(this().and(Column::RevokedAt.is_null()))
        .exec(db)
        .await?;
    Entity::find().filter(this()).one(db).await?.ok_or_else(unknown)
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
pub(super) async fn touch(db: &impl ConnectionTrait, id: Uuid) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::LastUsedAt, Expr::value(now()))
        .filter(Column::Id.eq(id))
        .exec(db)
        .await
        .map(drop)
}

/// Now, as precisely as both databases keep it.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
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
