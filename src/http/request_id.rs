//! Every request has an id: the caller's `X-Request-Id` if it is a name ([`is_name`]), or a fresh one. It stands in
//! the log beside everything the request caused, and in the answer.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;
use uuid::{Builder, Uuid};

use crate::names::is_name;

pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id. An extension of every request.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) String);

pub(super) async fn request(mut request: Request, next: Next) -> Response {
    let id = request.headers().get(HEADER).filter(|id| is_name(id.as_bytes())).cloned().unwrap_or_else(fresh);
    request.extensions_mut().insert(RequestId(id.to_str().unwrap_or_default().to_owned()));
    // The path, never the query: whatever a client puts there by mistake stays out of the log.
    let span = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        path = request.uri().path(),
    );
    async move {
        let started = Instant::now();
        let mut response = next.run(request).await;
        let status = response.status();
        let elapsed = started.elapsed();
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), ?elapsed, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), ?elapsed, "answered");
        }
        response.headers_mut().insert(HEADER, id);
        response
    }
    .instrument(span)
    .await
}

/// A UUID of version 7. Its random bits are this thread's generator's, which asks the system for a seed, and not for each.
fn fresh() -> HeaderValue {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis());
    let millis = u64::try_from(millis).unwrap_or_default();
    let mut buffer = Uuid::encode_buffer();
    let id = Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid();
    let id = id.hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
