//! What a client learns of an error, whether GraphQL answers or HTTP: a stable code. `docs/errors.md` explains each.

use std::time::Duration;

use strum::EnumIter;

/// `extensions.code` of an error.
#[derive(Clone, Copy, Debug, EnumIter, PartialEq, Eq)]
pub enum ErrorCode {
    /// An input value was refused; `extensions.field` names it.
    BadUserInput,
    /// There is no such user.
    NotFound,
    /// The user was forgotten.
    Forgotten,
    /// Somebody else has the username, or a value that one user alone can have; `extensions.field` names it.
    Conflict,
    /// Several users have the value that one was looked for by.
    Ambiguous,
    /// There is no index by which users could be found, or a value be written.
    IndexNotReady,
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
            Self::Ambiguous => "AMBIGUOUS",
            Self::IndexNotReady => "INDEX_NOT_READY",
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

/// What a caller without a good credential learns, whatever is wrong with it.
pub const UNAUTHENTICATED: &str = "a valid bearer token is needed: `Authorization: Bearer …`";

/// A time to wait as clients are told it: rounded up, so that a client that waits that long has waited long enough; and
/// never nothing, so that nobody asks again at once.
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}
