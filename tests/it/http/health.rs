use oubliette::keys::ErrorClass;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{TestApp, TestDatabase};

async fn get(app: &TestApp, path: &str) -> (StatusCode, Value) {
    let response = app.get(path).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn readiness_follows_the_key_backend() {
    let app = TestApp::start(TestDatabase::sqlite()).await;
    let ready = json!({ "status": "ready", "checks": { "database": "ok", "keys": "ok" } });
    let not_ready = json!({ "status": "not ready", "checks": { "database": "ok", "keys": "failed" } });

    assert_eq!(get(&app, "/readyz").await, (StatusCode::OK, ready.clone()));
    for class in [ErrorClass::Unavailable, ErrorClass::Denied, ErrorClass::KeyDisabled] {
        app.backend.fail(class);
        assert_eq!(get(&app, "/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, not_ready.clone()));
        assert_eq!(
            get(&app, "/healthz").await,
            (StatusCode::OK, json!({ "status": "ok" })),
            "the process is up"
        );
    }
    app.backend.fail(None);
    assert_eq!(get(&app, "/readyz").await, (StatusCode::OK, ready));
}
