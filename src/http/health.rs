//! `GET /healthz`: the process is up. `GET /readyz`: it can do its work.

use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use moka::future::Cache;
use serde_json::{Map, Value, json};

use super::{HttpState, refusal::refuse};
use crate::{causes, database, errors::ErrorCode, sinks::Readiness};

/// Longest wait for one check.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How long an answer stands: a client that asks more often causes no more calls to the key backend.
const MEMORY: Duration = Duration::from_secs(1);

/// The answers to the checks, by name.
#[derive(Clone, Debug)]
pub struct Checks(Cache<&'static str, bool>);

impl Default for Checks {
    fn default() -> Self {
        Self(Cache::builder().time_to_live(MEMORY).build())
    }
}

pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Asks the database and the active key backend, for real: whether the one takes writes, and the other wraps; whether the erasure
/// ledger is trusted; and what the sinks were last found to be. 503 if one of them fails; the log says why. A sink that is degraded is none that
/// fails.
/// `?exclude=keys` leaves a check out: for a load balancer that is to keep a server whose cached users it can
/// still serve.
pub(super) async fn readyz(State(state): State<Arc<HttpState>>, RawQuery(query): RawQuery) -> Response {
    let excluded: Vec<_> = query.iter().flat_map(|query| query.split('&')).collect();
    if !excluded
        .iter()
        .all(|pair| matches!(*pair, "exclude=database" | "exclude=keys" | "exclude=ledger" | "exclude=sinks"))
    {
        let message = "/readyz takes exclude=database, exclude=keys, exclude=ledger and exclude=sinks only";
        return refuse(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, message);
    }
    let (database, keys, ledger) = tokio::join!(
        state.checks.ask("database", &excluded, database::require_writable(&state.db)),
        state.checks.ask("keys", &excluded, state.keyring.check()),
        state.checks.ask("ledger", &excluded, async { state.users.require_trusted_ledger() }),
    );
    let word_of = |ok: Option<bool>| ok.map(|ok| if ok { "ok" } else { "failed" });
    let sinks = match state.sinks.readiness() {
        _ if excluded.contains(&"exclude=sinks") => None,
        Readiness::None => None,
        Readiness::Ready => Some("ok"),
        Readiness::Degraded => Some("degraded"),
        Readiness::NotReady => Some("failed"),
    };
    let outcomes: Map<_, _> = [
        ("database", word_of(database)),
        ("keys", word_of(keys)),
        ("ledger", word_of(ledger)),
        ("sinks", sinks),
    ]
    .into_iter()
    .filter_map(|(name, word)| Some((name.to_owned(), json!(word?))))
    .collect();
    let ready = outcomes.values().all(|outcome| outcome != "failed");
    let (status, word) =
        if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    (status, Json(json!({ "status": word, "checks": outcomes }))).into_response()
}

impl Checks {
    /// Whether a check passes; `None` if it is left out.
    async fn ask<E: Error>(
        &self,
        name: &'static str,
        excluded: &[&str],
        check: impl Future<Output = Result<(), E>>,
    ) -> Option<bool> {
        if excluded.iter().any(|pair| pair.strip_prefix("exclude=") == Some(name)) {
            return None;
        }
        Some(self.0.get_with(name, passes(name, check)).await)
    }
}

async fn passes<E: Error>(what: &str, check: impl Future<Output = Result<(), E>>) -> bool {
    match tokio::time::timeout(TIMEOUT, check).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(what, "not ready: {}", causes::line(&error));
            false
        }
        Err(_) => {
            tracing::warn!(what, "not ready: no answer within {TIMEOUT:?}");
            false
        }
    }
}
