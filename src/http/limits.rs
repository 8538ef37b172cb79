//! What stops a request that takes too long or fails in a way nobody foresaw, and how it is told so.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Request, State, rejection::BytesRejection},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::graphql::errors::{ErrorCode, whole_seconds};

/// Whether it is the client that a request waits for. An extension of every request.
#[derive(Clone, Debug, Default)]
struct BodyAwaited(Arc<AtomicBool>);

/// Answers 408 if the request has not come in time, and 504 if it is not answered in time. A change that has begun
/// is still finished.
pub(super) async fn time(State(limit): State<Duration>, mut request: Request, next: Next) -> Response {
    let BodyAwaited(awaited) = request.extensions_mut().get_or_insert_default::<BodyAwaited>().clone();
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
        let (status, problem) = if awaited.load(Relaxed) {
            (StatusCode::REQUEST_TIMEOUT, "the request's body did not come in time; nothing was done")
        } else {
            (
                StatusCode::GATEWAY_TIMEOUT,
                "the request took too long; a change may still be made, so look before trying again",
            )
        };
        refuse(status, ErrorCode::Timeout, problem)
    })
}

/// Reads the body of a request. The time it takes is the client's.
pub(super) async fn body(request: Request) -> Result<Bytes, BytesRejection> {
    let BodyAwaited(awaited) = request.extensions().get().cloned().unwrap_or_default();
    awaited.store(true, Relaxed);
    let body = Bytes::from_request(request, &()).await;
    awaited.store(false, Relaxed);
    body
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
