//! What stops a request that takes too long or fails in a way nobody foresaw, and how it is told so.

use std::{any::Any, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::graphql::errors::ErrorCode;

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
    let body = json!({ "errors": [{ "message": message, "extensions": { "code": code.as_str() } }] });
    (status, Json(body)).into_response()
}
