//! HTTP: what is served where, and what every request passes through on its way.
//!
//! | route | what it is |
//! | --- | --- |
//! | `POST /graphql` | the API |
//! | `GET /playground` | GraphiQL, if switched on; its files are under `/playground/assets` |
//! | `GET /healthz` | the process is up |
//! | `GET /readyz` | the database and the key backend can be used; `?exclude=keys` leaves one out |
//! | `GET /metrics` | counters, in the OpenMetrics text format |
//!
//! Outermost first: request id and log line, security headers, other origins, panics, the time limit, the body
//! limit.

mod access;
mod client_address;
mod cors;
mod graphql;
mod health;
mod limits;
mod metrics;
mod playground;
mod request_id;
mod security_headers;
mod serve;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};
use prometheus_client::registry::Registry;
use sea_orm::DatabaseConnection;
use tower_http::catch_panic::CatchPanicLayer;

pub use health::Checks;
pub use serve::{listen, serve};

use crate::{
    access::{Authenticator, RequestRates},
    config::HttpConfig,
    graphql::Schema,
    keys::Keyring,
};
use security_headers::OverTls;

/// What handlers share.
#[derive(Clone)]
pub struct HttpState {
    /// The API.
    pub schema: Schema,
    /// For readiness.
    pub db: DatabaseConnection,
    /// For readiness.
    pub keyring: Keyring,
    /// Who calls.
    pub authenticator: Authenticator,
    /// How often.
    pub rates: RequestRates,
    /// What is counted.
    pub metrics: Arc<Registry>,
    /// What readiness found out last.
    pub checks: Checks,
}

impl std::fmt::Debug for HttpState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpState").finish_non_exhaustive()
    }
}

/// All routes.
pub fn router(state: HttpState, config: &HttpConfig) -> Router {
    let mut routes = Router::new()
        .route("/graphql", post(graphql::execute))
        .route_layer(middleware::from_fn_with_state(state.clone(), access::admit))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics));
    if config.playground {
        routes = routes.merge(playground::routes());
    }
    routes = routes
        .layer(DefaultBodyLimit::max(config.max_body_bytes))
        .layer(middleware::from_fn_with_state(config.request_timeout, limits::time))
        .layer(CatchPanicLayer::custom(limits::panicked));
    if !config.cors_allowed_origins.is_empty() {
        routes = routes.layer(cors::layer(&config.cors_allowed_origins));
    }
    routes
        .layer(middleware::from_fn_with_state(OverTls(false), security_headers::add))
        .layer(middleware::from_fn(request_id::request))
        .with_state(state)
}
