//! What a client of the API learns of an error: a stable code ([`ErrorCode`]) and a plain sentence.
//!
//! The whole chain of causes goes to the log, under the same request id. Nothing but this file makes
//! errors for clients: the feature `custom-error-conversion` of async-graphql keeps `?` from sending any
//! error's text out.

use async_graphql::{Error, ErrorExtensions};

use crate::{
    access::{Denied, Exhausted},
    causes,
    database::takes_no_writes,
    errors::{ErrorCode, UNAUTHENTICATED, whole_seconds},
    keys::KeyringError,
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
            UserError::Unreadable { .. } => {
                coded("this attribute cannot be decrypted", ErrorCode::DecryptionFailed)
            }
            UserError::Keys(keys) => keys_unavailable(keys),
            UserError::Contended => {
                coded("others change the user again and again; try again", ErrorCode::Unavailable)
            }
            UserError::LedgerWentBack => {
                coded("the erasure ledger went back; an operator must look at it", ErrorCode::Unavailable)
            }
            UserError::Database(database) if takes_no_writes(database) => {
                coded("nothing can be changed at the moment; try again", ErrorCode::Unavailable)
            }
            UserError::Seal(_) | UserError::Database(_) | UserError::Interrupted => coded(
                "an internal error occurred; the log has it under this request's id",
                ErrorCode::Internal,
            ),
        };
        log(&error);
        answer
    }
}

fn keys_unavailable(error: &KeyringError) -> Error {
    match error {
        KeyringError::Backend(backend) if !backend.class.blames_the_wrapped_key() => {
            key_backend(backend.class.is_retryable())
        }
        KeyringError::NoBackend { .. } | KeyringError::Inactive(_) => key_backend(false),
        KeyringError::Backend(_) | KeyringError::Missing(_) | KeyringError::NoDataKey(_) => {
            coded("the data key of this user cannot be opened", ErrorCode::DecryptionFailed)
        }
        KeyringError::Database(_) | KeyringError::Interrupted => {
            coded("an internal error occurred; the log has it under this request's id", ErrorCode::Internal)
        }
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
        | UserError::UsernameTaken => tracing::debug!("refused: {line}"),
        UserError::LedgerWentBack => tracing::warn!("refused: {line}"),
        UserError::Keys(keys) if is_retryable(keys) => tracing::warn!("{line}"),
        _ => tracing::error!("{line}"),
    }
}

fn is_retryable(error: &KeyringError) -> bool {
    matches!(error, KeyringError::Backend(backend) if backend.class.is_retryable())
}
