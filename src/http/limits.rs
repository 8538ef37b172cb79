//! What stops a request that takes too long or fails in a way nobody foresaw, and how it is told so.

use std::{any::Any, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::graphql::errors::{ErrorCode, whole_seconds};

/// Answers 504 if the request is not answered in time. A change that has begun is still finished.
pub(super) async fn time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        refuse(
            StatusCode::GATEWAY_TIMEOUT,
            ErrorCode::Timeout,
            "the request took too long; a change may still be made, so look before trying again",
        )
    })
}

/// Answers 500 after a panic. The panic itself is in the log.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked");
    refuse(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, "an internal error occurred")
}

/// An error before or instead of a GraphQL answer, in the form of one.
pub(super) fn refuse(status: StatusCode, code: ErrorCode, message: &str) -> Response {
    refuse_with(status, message, &json!({ "code": code.as_str() }))
}

/// Answers 429: too many requests, of whatever kind.
pub(super) fn wait(retry_after: Duration) -> Response {
    let seconds = whole_seconds(retry_after);
    let extensions = json!({ "code": ErrorCode::RateLimited.as_str(), "retryAfter": seconds });
    let mut response = refuse_with(StatusCode::TOO_MANY_REQUESTS, "too many requests", &extensions);
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

fn refuse_with(status: StatusCode, message: &str, extensions: &Value) -> Response {
    (status, Json(json!({ "errors": [{ "message": message, "extensions": extensions }] }))).into_response()
}
