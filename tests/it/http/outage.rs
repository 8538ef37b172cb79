//! The database goes away and comes back; the server stays.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Person, Proxy, TestApp, TestStack};

/// An app that reaches PostgreSQL through a proxy.
async fn behind_a_proxy() -> (TestApp, Proxy) {
    let database = TestStack::postgres();
    let (proxy, url) = database.behind_a_proxy().await;
    let app = TestApp::start_with(database, |config| {
        config.database.url = Some(url.into());
        config.database.connect_timeout = Duration::from_secs(1);
        config.http.request_timeout = Duration::from_secs(3);
    })
    .await;
    (app, proxy)
}

async fn readiness(app: &TestApp) -> (StatusCode, Value) {
    let response = app.get("/readyz").send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn assert_not_ready(app: &TestApp) {
    let expected =
        json!({ "status": "not ready", "checks": { "database": "failed", "keys": "ok", "ledger": "ok" } });
    assert_eq!(readiness(app).await, (StatusCode::SERVICE_UNAVAILABLE, expected));
    assert_eq!(app.get("/healthz").send().await.unwrap().status(), StatusCode::OK, "the process is up");
}

async fn assert_recovers(app: &TestApp) {
    for _ in 0..500 {
        if readiness(app).await.0 == StatusCode::OK {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not ready although the database is back");
}

#[tokio::test]
async fn a_lost_database_is_an_internal_error_until_it_is_back() {
    let (app, proxy) = behind_a_proxy().await;
    let person = Person::new();
    let id = app.create(&person).await;
    assert_eq!(readiness(&app).await.0, StatusCode::OK);

    proxy.cut();
    // Readiness is found out once a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_not_ready(&app).await;
    for (query, variables) in [
        ("query($id: ID!) { user(id: $id) { email } }", json!({ "id": id })),
        ("{ users { nodes { id } } }", json!({})),
        ("query($id: ID!) { erasure(userId: $id) { sequence } }", json!({ "id": id })),
        ("mutation($id: ID!) { forgetUser(id: $id) { sequence } }", json!({ "id": id })),
        (
            "mutation($name: String!) { createUser(input: { username: $name }) { id } }",
            json!({ "name": "x" }),
        ),
        ("mutation($id: ID!) { updateUser(id: $id, input: { phone: null }) { id } }", json!({ "id": id })),
    ] {
        let answer = app.graphql(query, variables).await;
        assert_eq!(answer["errors"][0]["extensions"], json!({ "code": "INTERNAL" }), "{answer}");
        let text = answer.to_string().to_lowercase();
        for internal in
            ["sql", "postgres", "connect", "pool", "127.0.0.1", &proxy.port().to_string(), "database"]
        {
            assert!(!text.contains(internal), "{internal}: {text}");
        }
    }

    proxy.restore();
    assert_recovers(&app).await;
    assert_eq!(app.read(id).await["data"]["user"]["email"], person.email, "what failed changed nothing");
    assert_eq!(app.forget(id).await["sequence"], 1);
}

#[tokio::test]
async fn a_database_that_hangs_does_not_hang_the_server() {
    let (app, proxy) = behind_a_proxy().await;
    let person = Person::new();
    let id = app.create(&person).await;

    proxy.stall();
    let body = json!({ "query": "{ users { nodes { id } } }" });
    let response = app.post("/graphql").json(&body).send().await.unwrap();
    // Whichever of the two limits is reached first: on the connection, or on the request.
    let status = response.status();
    let code = response.json::<Value>().await.unwrap()["errors"][0]["extensions"]["code"].clone();
    assert!(
        [(StatusCode::OK, json!("INTERNAL")), (StatusCode::GATEWAY_TIMEOUT, json!("TIMEOUT"))]
            .contains(&(status, code.clone())),
        "{status} {code}"
    );
    let response = app.get("/healthz").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);

    proxy.restore();
    assert_recovers(&app).await;
    assert_eq!(app.read(id).await["data"]["user"]["email"], person.email);
}
