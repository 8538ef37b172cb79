use std::time::Duration;

use oubliette::keys::ErrorClass;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{TestApp, TestStack, postgres};

async fn get(app: &TestApp, path: &str) -> (StatusCode, Value) {
    let response = app.get(path).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn readiness_follows_the_key_backend() {
    let app = TestApp::start(TestStack::sqlite()).await;
    let ready = json!({ "status": "ready", "checks": { "database": "ok", "keys": "ok", "ledger": "ok" } });
    let not_ready =
        json!({ "status": "not ready", "checks": { "database": "ok", "keys": "failed", "ledger": "ok" } });

    assert_eq!(get(&app, "/readyz").await, (StatusCode::OK, ready.clone()));
    for class in [ErrorClass::Unavailable, ErrorClass::Denied, ErrorClass::KeyDisabled] {
        app.backend.fail(class);
        forget_the_last_answer().await;
        assert_eq!(get(&app, "/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, not_ready.clone()));
        let without_keys = json!({ "status": "ready", "checks": { "database": "ok", "ledger": "ok" } });
        assert_eq!(get(&app, "/readyz?exclude=keys").await, (StatusCode::OK, without_keys));
        let database_only = json!({ "status": "ready", "checks": { "database": "ok" } });
        let answer = get(&app, "/readyz?exclude=keys&exclude=ledger").await;
        assert_eq!(answer, (StatusCode::OK, database_only));
        assert_eq!(
            get(&app, "/healthz").await,
            (StatusCode::OK, json!({ "status": "ok" })),
            "the process is up"
        );
    }
    app.backend.fail(None);
    forget_the_last_answer().await;
    assert_eq!(get(&app, "/readyz").await, (StatusCode::OK, ready));

    let (status, answer) = get(&app, "/readyz?exclude=kms").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let message = "/readyz takes exclude=database, exclude=keys, exclude=ledger and exclude=sinks only";
    assert_eq!(answer["errors"][0]["message"], message);
}

/// As after a failover that leaves the server on a standby.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_only_reads_is_not_ready() {
    let app = TestApp::start(TestStack::postgres()).await;
    let TestStack::Postgres { name, .. } = &app.database else { panic!("it was asked for") };
    for (only_reads, status, database) in
        [("on", StatusCode::SERVICE_UNAVAILABLE, "failed"), ("off", StatusCode::OK, "ok")]
    {
        // Whoever connects from now on; and all have to.
        let sql = format!(
            "ALTER DATABASE \"{name}\" SET default_transaction_read_only = {only_reads};
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        postgres::server().psql("postgres", &sql);
        forget_the_last_answer().await;
        let (answered, answer) = get(&app, "/readyz").await;
        assert_eq!((answered, &answer["checks"]["database"]), (status, &json!(database)), "{answer}");
    }
}

/// Readiness is found out once a second.
async fn forget_the_last_answer() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}
