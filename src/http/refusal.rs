//! How a client is told that its request was refused: an error before or instead of a GraphQL answer, in the form of one.

use std::time::Duration;

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::errors::{ErrorCode, whole_seconds};

/// Answers this status with one error.
pub(super) fn refuse(status: StatusCode, code: ErrorCode, message: &str) -> Response {
    refuse_with(status, message, &json!({ "code": code.as_str() }))
}

/// Answers 500. What went wrong is in the log.
pub(super) fn internal() -> Response {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, "an internal error occurred")
}

/// Answers 429: too many requests.
pub(super) fn wait(retry_after: Duration) -> Response {
    wait_for(retry_after, "too many requests")
}

/// Answers 429: too much, of whatever kind.
pub(super) fn wait_for(retry_after: Duration, message: &str) -> Response {
    let seconds = whole_seconds(retry_after);
    let extensions = json!({ "code": ErrorCode::RateLimited.as_str(), "retryAfter": seconds });
    let mut response = refuse_with(StatusCode::TOO_MANY_REQUESTS, message, &extensions);
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

fn refuse_with(status: StatusCode, message: &str, extensions: &Value) -> Response {
    (status, Json(json!({ "errors": [{ "message": message, "extensions": extensions }] }))).into_response()
}
