//! `GET /healthz`: the process is up. `GET /readyz`: it can do its work.

use std::{fmt::Display, future::Future, time::Duration};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::HttpState;

/// Longest wait for one check.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Asks the database and the active key backend, for real. 503 if one of them fails; the log says why.
pub(super) async fn readyz(State(state): State<HttpState>) -> Response {
    let (database, keys) =
        tokio::join!(check("database", state.db.ping()), check("keys", state.keyring.check()));
    let ready = database && keys;
    let (status, word) =
        if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    let checks = json!({ "database": outcome(database), "keys": outcome(keys) });
    (status, Json(json!({ "status": word, "checks": checks }))).into_response()
}

async fn check<E: Display>(what: &str, check: impl Future<Output = Result<(), E>>) -> bool {
    match tokio::time::timeout(PATIENCE, check).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(what, %error, "not ready");
            false
        }
        Err(_) => {
            tracing::warn!(what, "not ready: no answer within {PATIENCE:?}");
            false
        }
    }
}

fn outcome(ok: bool) -> &'static str {
    if ok { "ok" } else { "failed" }
}
