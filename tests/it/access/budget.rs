//! How much one caller may take.

use oubliette::{
    access::tokens::NewToken,
    config::{AuthMode, Config},
};
use reqwest::StatusCode;
use serde_json::json;

use super::{code, with_tokens};
use crate::harness::{Person, TestApp, TestStack};

fn budget(limit: u32) -> impl FnOnce(&mut Config) {
    move |config| {
        with_tokens(config);
        config.limits.subjects_per_minute = limit;
    }
}

#[tokio::test]
async fn a_stolen_token_cannot_empty_the_store() {
    let app = TestApp::start_with(TestStack::sqlite(), budget(10)).await;
    for _ in 0..30 {
        app.add(&Person::new()).await;
    }
    let token = app.token("users:read pii:read", None).await;
    let page = "{ users(first: 30) { nodes { id email phone emailMasked } } }";
    let (status, answer) = app.ask(Some(&token), page, json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let nodes = answer["data"]["users"]["nodes"].as_array().unwrap();
    let opened: Vec<_> = nodes.iter().filter(|node| !node["email"].is_null()).collect();
    assert_eq!(opened.len(), 10, "{answer}");
    assert!(opened.iter().all(|node| !node["phone"].is_null() && !node["emailMasked"].is_null()));
    // 20 users, three fields each.
    assert_eq!(answer["errors"].as_array().unwrap().len(), 60);
    for error in answer["errors"].as_array().unwrap() {
        assert_eq!(error["extensions"]["code"], "RATE_LIMITED");
        let wait = error["extensions"]["retryAfter"].as_u64().unwrap();
        assert!((1..=60).contains(&wait), "{error}");
    }

    // The same again is free; others are not, however they are asked for, and open no key.
    let query = "query($id: ID!) { user(id: $id) { username email } }";
    let (_, answer) = app.ask(Some(&token), query, json!({ "id": opened[0]["id"] })).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    let unwrapped = app.backend.unwrapped();
    let left = nodes.iter().find(|node| node["email"].is_null()).unwrap();
    for query in [query, "query($id: ID!) { user(id: $id) { username phoneMasked } }"] {
        let (_, answer) = app.ask(Some(&token), query, json!({ "id": left["id"] })).await;
        assert_eq!(code(&answer), Some("RATE_LIMITED"), "{answer}");
        assert!(answer["data"]["user"]["username"].is_string(), "what is not personal is answered");
    }
    assert_eq!(app.backend.unwrapped(), unwrapped);

    // Another token has a budget of its own; and one may have another.
    let other = NewToken {
        name: "batch".to_owned(),
        scopes: "users:read pii:read".parse().unwrap(),
        subject: None,
        subjects_per_minute: Some(0),
        expires_at: None,
    };
    let other = app.token_of(other).await;
    let (_, answer) = app.ask(Some(&other), page, json!({})).await;
    assert_eq!(answer.get("errors"), None, "0 is no limit: {answer}");
}

#[tokio::test]
async fn one_token_cannot_flood_the_server() {
    let configure = |config: &mut Config| {
        with_tokens(config);
        config.limits.requests_per_second_per_token = 5;
    };
    let app = TestApp::start_with(TestStack::sqlite(), configure).await;
    let [greedy, modest] = [app.token("users:read", None).await, app.token("users:read", None).await];
    let mut refused = 0;
    for _ in 0..40 {
        let request = app.post("/graphql").bearer_auth(&greedy).json(&json!({ "query": "{ __typename }" }));
        let response = request.send().await.unwrap();
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            refused += 1;
            let wait = response.headers()["retry-after"].to_str().unwrap().to_owned();
            let answer: serde_json::Value = response.json().await.unwrap();
            assert_eq!(code(&answer), Some("RATE_LIMITED"));
            assert_eq!(answer["errors"][0]["extensions"]["retryAfter"].to_string(), wait);
        } else {
            assert_eq!(response.status(), StatusCode::OK);
        }
    }
    // 10 at once, and 5 more for each second that this took.
    assert!(refused > 5, "{refused} of 40 were refused");
    assert_eq!(app.ask(Some(&modest), "{ __typename }", json!({})).await.0, StatusCode::OK);
}

/// Also what is not let in counts: guessing is no way to keep a server busy.
#[tokio::test]
async fn one_address_cannot_flood_the_server() {
    let configure = |config: &mut Config| {
        config.auth.mode = AuthMode::Tokens;
        config.limits.requests_per_second_per_address = 5;
    };
    let app = TestApp::start_with(TestStack::sqlite(), configure).await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(app.ask(Some("oub_guess"), "{ __typename }", json!({})).await.0);
    }
    assert_eq!(statuses[0], StatusCode::UNAUTHORIZED);
    assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS));
    // Health checks come from the same address, and are answered.
    assert_eq!(app.get("/healthz").send().await.unwrap().status(), StatusCode::OK);
}
