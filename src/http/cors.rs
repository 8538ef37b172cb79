//! Which pages of other origins may call the API from a browser: those that `http.cors_allowed_origins` names,
//! and `/graphql` only. Where it names none, this layer is left out: no answer permits another origin anything,
//! and a browser that asks first is refused like every `OPTIONS` request.

use std::time::Duration;

use axum::http::{HeaderValue, Method, header, request::Parts};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::request_id;
use crate::config::WebOrigin;

/// How long a browser may remember that it was permitted to ask.
const REMEMBERED: Duration = Duration::from_mins(10);

/// No credentials: the API takes no cookies, and a page can send a token only if it has one.
pub(super) fn layer(origins: &[WebOrigin]) -> CorsLayer {
    let origins = origins.to_vec();
    let allowed = move |origin: &HeaderValue, request: &Parts| {
        request.uri.path() == "/graphql" && origins.iter().any(|allowed| origin == allowed.as_str())
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, request_id::HEADER])
        .expose_headers([header::RETRY_AFTER, request_id::HEADER])
        .max_age(REMEMBERED)
}
