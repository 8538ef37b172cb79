//! What stops a request that takes too long or fails in a way nobody foresaw.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, State, rejection::BytesRejection},
    http::StatusCode,
    middleware::Next,
    response::Response,
};

use super::refusal::{internal, refuse};
use crate::errors::ErrorCode;

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
    internal()
}
