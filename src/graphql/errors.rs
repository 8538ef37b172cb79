//! What a client learns of an error: a stable code and a plain sentence. `docs/errors.md` explains each.
//!
//! The whole chain of causes goes to the log, under the same request id. Nothing but this file makes
//! errors for clients: the feature `custom-error-conversion` of async-graphql keeps `?` from sending any
//! error's text out.

use std::time::Duration;

use async_graphql::{Error, ErrorExtensions, Response};
use strum::EnumIter;

use crate::{
    access::{Denied, Exhausted},
    causes,
    database::takes_no_writes,
    keys::KeyringError,
    users::UserError,
};

/// `extensions.code` of an error.
#[derive(Clone, Copy, Debug, EnumIter, PartialEq, Eq)]
pub enum ErrorCode {
    /// An input value was refused; `extensions.field` names it.
    BadUserInput,
    /// There is no such user.
    NotFound,
    /// The user was forgotten.
    Forgotten,
    /// The username is taken.
    Conflict,
    /// The key backend cannot be used; `extensions.retryable` says whether trying again may help.
    KeyBackendUnavailable,
    /// An attribute does not open.
    DecryptionFailed,
    /// The document does not parse, does not fit the schema, or exceeds a limit.
    GraphqlValidationFailed,
    /// The HTTP request is not a GraphQL request.
    BadRequest,
    /// The request took too long.
    Timeout,
    /// No credential, or none that is good.
    Unauthenticated,
    /// The credential does not allow it.
    Forbidden,
    /// Too many requests, or too many users' personal attributes; `extensions.retryAfter` says for how long.
    RateLimited,
    /// Something that is needed to answer cannot be reached, or not be trusted. Trying again may help.
    Unavailable,
    /// A fault of ours. The log has the cause, under the request's id.
    Internal,
}

impl ErrorCode {
    /// The code as clients see it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::NotFound => "NOT_FOUND",
            Self::Forgotten => "FORGOTTEN",
            Self::Conflict => "CONFLICT",
            Self::KeyBackendUnavailable => "KEY_BACKEND_UNAVAILABLE",
            Self::DecryptionFailed => "DECRYPTION_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::BadRequest => "BAD_REQUEST",
            Self::Timeout => "TIMEOUT",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::RateLimited => "RATE_LIMITED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }
}

/// Most request errors that are told. Whoever has more corrects these first; graphql-js, too, stops at as many.
const MAX_REQUEST_ERRORS: usize = 100;
/// Longest message of a request error, in characters: a syntax error repeats the line, which may be the whole
/// document.
const MAX_MESSAGE: usize = 1_000;

/// What a caller without a good credential learns, whatever is wrong with it.
pub const UNAUTHENTICATED: &str = "a valid bearer token is needed: `Authorization: Bearer …`";

/// Request errors, of which a document may cause as many as it has tokens, cut to what somebody would read. Errors
/// of fields that were executed are left as they are: each belongs to a null.
pub(super) fn shortened(mut response: Response) -> Response {
    if response.errors.iter().all(|error| error.path.is_empty()) {
        response.errors.truncate(MAX_REQUEST_ERRORS);
        for error in &mut response.errors {
            // The end of a syntax error says what was expected.
            let length = error.message.chars().count();
            if length > MAX_MESSAGE {
                let half = MAX_MESSAGE / 2;
                let begin: String = error.message.chars().take(half).collect();
                let end: String = error.message.chars().skip(length - half).collect();
                error.message = format!("{begin} … {end}");
            }
        }
    }
    response
}

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

/// A time to wait as clients are told it: rounded up, so that whoever waits that long has waited long enough; and
/// never nothing, so that nobody asks again at once.
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
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
        // Also what a later release of the keyring may fail with.
        _ => coded("an internal error occurred; the log has it under this request's id", ErrorCode::Internal),
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
