//! HTTP: what is served where, and what every request passes through on its way.
//!
//! | route | what it is |
//! | --- | --- |
//! | `POST /graphql` | the API |
//! | `GET /playground` | GraphiQL, if switched on; its files are under `/playground/assets` |
//! | `GET /healthz` | the process is up |
//! | `GET /readyz` | the database and the key backend can be used, and the erasure ledger is trusted; `?exclude=keys` leaves one out |
//!
//! Outermost first: request id and log line, security headers, panics, other origins, who is calling (by address),
//! which name for (health checks may use any), the time limit, the body limit; and for the API, who is calling (by
//! credential).
//!
//! On a listener of its own, so that who may watch the server need not be let in, and the other way round:
//!
//! | route | what it is |
//! | --- | --- |
//! | `GET /metrics` | counters, in the OpenMetrics text format |
//! | `GET /healthz`, `GET /readyz` | as above |

mod access;
mod activity;
mod capacity;
mod client_address;
mod connection;
mod cors;
mod file_limit;
mod graphql;
mod health;
mod hosts;
mod limits;
mod metrics;
mod playground;
mod refusal;
mod request_id;
mod security_headers;
mod serve;
mod tls;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};
use ipnet::IpNet;
use prometheus_client::registry::Registry;
use sea_orm::DatabaseConnection;
use tower::ServiceBuilder;
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};

pub use health::Checks;
pub use serve::{Connections, listen, serve};
pub use tls::{PemError, TlsError};

use self::hosts::Hosts;
use crate::{
    access::{Authenticator, Refusals, RequestRates},
    config::{Config, HttpConfig},
    graphql::Api,
    keys::Keyring,
    sinks::SinkHealth,
    users::Users,
};
use security_headers::OverTls;

/// What handlers share.
pub struct HttpState {
    /// The API.
    pub api: Api,
    /// For readiness.
    pub db: DatabaseConnection,
    /// For readiness.
    pub keyring: Keyring,
    /// For readiness.
    pub users: Users,
    /// For readiness.
    pub sinks: SinkHealth,
    /// Who calls.
    pub authenticator: Authenticator,
    /// How often.
    pub rates: RequestRates,
    /// How often they are refused something.
    pub refusals: Refusals,
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

/// All routes of the main listener.
pub fn router(state: Arc<HttpState>, config: &HttpConfig) -> Router {
    let mut routes = Router::new()
        .route("/graphql", post(graphql::execute))
        .route_layer(middleware::from_fn_with_state(state.clone(), access::admit));
    if config.playground {
        routes = routes.merge(playground::routes());
    }
    let each = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(Hosts::of(config), hosts::check))
        .layer(middleware::from_fn_with_state(config.request_timeout, limits::time))
        .layer(DefaultBodyLimit::max(config.max_body_bytes));
    let mut routes = routes.layer(each).merge(health(config));
    let proxies = config.trusted_proxies.clone().into();
    let origins = &config.cors_allowed_origins;
    let cors = (!origins.is_empty()).then(|| cors::layer(origins));
    routes = outermost(routes, OverTls(config.tls.is_some()), cors, Some(proxies));
    routes.with_state(state)
}

/// All routes of the listener for metrics.
pub fn metrics_router(state: Arc<HttpState>, config: &Config) -> Router {
    let hosts = config.metrics.listen.map_or(Hosts::Any, Hosts::of_listener);
    let routes = Router::new()
        .route("/metrics", get(metrics::metrics))
        .layer(middleware::from_fn_with_state(config.http.request_timeout, limits::time))
        .layer(middleware::from_fn_with_state(hosts, hosts::check))
        .merge(health(&config.http));
    outermost(routes, OverTls(false), None, None).with_state(state)
}

/// Load balancers ask these, under whatever name. They tell nothing but whether the server is well.
fn health(config: &HttpConfig) -> Router<Arc<HttpState>> {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .layer(middleware::from_fn_with_state(config.request_timeout, limits::time))
}

/// Several layers at once: for each that a router is given by itself, a request clones all that are within, each in a box of its own.
/// With trusted proxies, if any: callers are told apart by their addresses.
fn outermost(
    routes: Router<Arc<HttpState>>,
    over_tls: OverTls,
    cors: Option<CorsLayer>,
    proxies: Option<Arc<[IpNet]>>,
) -> Router<Arc<HttpState>> {
    let identify = proxies.map(|proxies| middleware::from_fn_with_state(proxies, client_address::identify));
    routes.layer(
        ServiceBuilder::new()
            .layer(middleware::from_fn(request_id::request))
            .layer(middleware::from_fn_with_state(over_tls, security_headers::add))
            .layer(CatchPanicLayer::custom(limits::panicked))
            .option_layer(cors)
            .option_layer(identify),
    )
}
