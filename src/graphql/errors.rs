//! What a client of the API learns of an error: a stable code ([`ErrorCode`]) and a plain sentence.
//!
//! The whole chain of causes goes to the log, under the same request id. Nothing but this file makes
//! errors for clients: the feature `custom-error-conversion` of async-graphql keeps `?` from sending any
//! error's text out.

use async_graphql::{Error, ErrorExtensions};
use sea_orm::DbErr;

use crate::{
    access::{Denied, Exhausted},
    causes,
    database::takes_no_writes,
    errors::{ErrorCode, UNAUTHENTICATED, whole_seconds},
    keys::KeyringError,
    sinks::SinkError,
    users::UserError,
};

/// An input value was refused.
pub(super) fn bad_input(field: &str, problem: &str) -> Error {
    let message = format!("{field} {problem}");
    coded(message, ErrorCode::BadUserInput).extend_with(|_, extensions| extensions.set("field", field))
}

/// Nobody is known to have sent the request.
pub(super) fn unauthenticated() -> Error {
    coded(UNAUTHENTICATED, ErrorCode::Unauthenticated)
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        coded(denied.to_string(), ErrorCode::Forbidden)
    }
}

impl From<Exhausted> for Error {
    fn from(exhausted: Exhausted) -> Self {
        let seconds = whole_seconds(exhausted.retry_after());
        coded(exhausted.to_string(), ErrorCode::RateLimited)
            .extend_with(|_, extensions| extensions.set("retryAfter", seconds))
    }
}

/// What a client learns of `error`. Logs the rest.
impl From<UserError> for Error {
    fn from(error: UserError) -> Self {
        let answer = match &error {
            UserError::Invalid { field, problem } => bad_input(field, problem),
            UserError::NotFound(_) => coded(error.to_string(), ErrorCode::NotFound),
            UserError::Forgotten(_) => coded(error.to_string(), ErrorCode::Forgotten),
            UserError::UsernameTaken => coded(error.to_string(), ErrorCode::Conflict)
                .extend_with(|_, extensions| extensions.set("field", "username")),
            UserError::Taken { attribute } => coded(error.to_string(), ErrorCode::Conflict)
                .extend_with(|_, extensions| extensions.set("field", attribute.as_str())),
            UserError::Ambiguous { attribute, .. } => {
                coded(format!("{error}: `usersBy` lists them"), ErrorCode::Ambiguous)
                    .extend_with(|_, extensions| extensions.set("attribute", attribute.as_str()))
            }
            UserError::IndexNotReady { attribute } => coded(
                format!("the index of `{attribute}` is not ready; an operator must run `oubliette-admin index build`"),
                ErrorCode::IndexNotReady,
            )
            .extend_with(|_, extensions| extensions.set("attribute", attribute.as_str())),
            UserError::Unreadable { .. } => {
                coded("this attribute cannot be decrypted", ErrorCode::DecryptionFailed)
            }
            UserError::Keys(keys) => keys_unavailable(keys),
            UserError::IndexKey(keys) => match keys_unavailable(keys) {
                opaque if has_code(&opaque, ErrorCode::DecryptionFailed) => coded(
                    "the index key cannot be opened; an operator must look at it",
                    ErrorCode::DecryptionFailed,
                ),
                other => other,
            },
            UserError::Contended | UserError::IndexesChanged => {
                coded("others change the user again and again; try again", ErrorCode::Unavailable)
            }
            UserError::LedgerWentBack => {
                coded("the erasure ledger is not the newest; an operator must look at it", ErrorCode::Unavailable)
            }
            UserError::Database(error) => database(error),
            UserError::Seal(_) | UserError::Interrupted => internal(),
        };
        log(&error);
        answer
    }
}

/// The audit trail could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the audit trail could not be read")]
pub(super) struct UnreadableTrail(#[source] pub(super) DbErr);

impl From<UnreadableTrail> for Error {
    fn from(error: UnreadableTrail) -> Self {
        tracing::error!("{}", causes::line(&error));
        database(&error.0)
    }
}

/// A number is larger than an Int of GraphQL may be: 2^31 - 1.
#[derive(Debug, thiserror::Error)]
#[error("{0} does not fit an Int")]
pub(super) struct TooLargeForInt(pub(super) i64);

impl From<TooLargeForInt> for Error {
    fn from(error: TooLargeForInt) -> Self {
        tracing::error!("{error}");
        internal()
    }
}

/// A receipt could not be had from the sinks.
#[derive(Debug, thiserror::Error)]
#[error("the receipt could not be read")]
pub(super) struct NoReceipt(#[source] pub(super) SinkError);

impl From<NoReceipt> for Error {
    fn from(error: NoReceipt) -> Self {
        tracing::warn!("refused: {}", causes::line(&error));
        coded("the receipt cannot be read at the moment; try again", ErrorCode::Unavailable)
    }
}

/// Somebody was forgotten, and that is in no sink yet.
#[derive(Debug, thiserror::Error)]
#[error("entry {0} of the erasure ledger is in no sink yet")]
pub(super) struct NotPublished(pub(super) i64);

impl From<NotPublished> for Error {
    fn from(error: NotPublished) -> Self {
        tracing::warn!("refused: {error}");
        coded(
            "the user is forgotten, and that is not stored outside the database yet; ask again",
            ErrorCode::Unavailable,
        )
    }
}

fn database(error: &DbErr) -> Error {
    if takes_no_writes(error) {
        coded("nothing can be changed at the moment; try again", ErrorCode::Unavailable)
    } else {
        internal()
    }
}

fn internal() -> Error {
    coded("an internal error occurred; the log has it under this request's id", ErrorCode::Internal)
}

fn has_code(error: &Error, code: ErrorCode) -> bool {
    error.extensions.as_ref().and_then(|all| all.get("code")) == Some(&code.as_str().into())
}

fn keys_unavailable(error: &KeyringError) -> Error {
    match error {
        KeyringError::Backend(backend) if !backend.class.blames_the_wrapped_key() => {
            key_backend(backend.class.is_retryable())
        }
        KeyringError::NoBackend { .. } | KeyringError::NoMacKey | KeyringError::Inactive(_) => {
            key_backend(false)
        }
        KeyringError::Backend(_) | KeyringError::Missing(_) | KeyringError::NoDataKey(_) => {
            coded("the data key of this user cannot be opened", ErrorCode::DecryptionFailed)
        }
        // Also what a later release of the keyring may fail with.
        _ => internal(),
    }
}

fn key_backend(retryable: bool) -> Error {
    let message = if retryable {
        "the key backend does not answer; try again"
    } else {
        "the key backend refuses; an operator must look at it"
    };
    coded(message, ErrorCode::KeyBackendUnavailable)
        .extend_with(|_, extensions| extensions.set("retryable", retryable))
}

fn coded(message: impl Into<String>, code: ErrorCode) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code.as_str()))
}

/// The error and all its causes: for the log. None of them contains a personal value.
fn log(error: &UserError) {
    let line = causes::line(error);
    match error {
        UserError::Invalid { .. }
        | UserError::NotFound(_)
        | UserError::Forgotten(_)
        | UserError::UsernameTaken
        | UserError::Taken { .. }
        | UserError::Ambiguous { .. } => tracing::debug!("refused: {line}"),
        UserError::LedgerWentBack | UserError::IndexNotReady { .. } => tracing::warn!("refused: {line}"),
        UserError::Keys(keys) | UserError::IndexKey(keys) if is_retryable(keys) => tracing::warn!("{line}"),
        _ => tracing::error!("{line}"),
    }
}

fn is_retryable(error: &KeyringError) -> bool {
    matches!(error, KeyringError::Backend(backend) if backend.class.is_retryable())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(error: impl Into<Error>) -> String {
        let extensions = error.into().extensions.unwrap();
        extensions.get("code").unwrap().to_string()
    }

    #[test]
    fn what_a_client_cannot_do_anything_about_is_internal() {
        assert_eq!(code(TooLargeForInt(1 << 31)), "\"INTERNAL\"");
        assert_eq!(code(UnreadableTrail(DbErr::Custom("gone".to_owned()))), "\"INTERNAL\"");
        assert_eq!(code(UserError::from(DbErr::Custom("gone".to_owned()))), "\"INTERNAL\"");
    }
}
