//! Opaque tokens.

use std::time::{Duration, Instant};

use chrono::Utc;
use oubliette::{
    access::tokens::{self, NewToken},
    audit::Origin,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{code, guarded, with_tokens};
use crate::harness::{Person, TestApp, TestStack, on_both_databases};

on_both_databases!(
    nobody_gets_in_without_a_good_token,
    a_revoked_token_ends_on_all_servers_within_two_seconds,
    a_users_own_tokens_go_with_the_user,
);

const QUERY: &str = "query($id: ID!) { user(id: $id) { email } }";

fn new(name: &str) -> NewToken {
    NewToken {
        name: name.to_owned(),
        scopes: "users:read pii:read".parse().unwrap(),
        subject: None,
        subjects_per_minute: None,
        expires_at: None,
    }
}

/// Whatever is wrong, the answer is the same, and nothing is opened or looked up for it but the token.
async fn nobody_gets_in_without_a_good_token(stack: TestStack) {
    let app = guarded(stack).await;
    let id = app.add(&Person::new()).await;
    let good = app.token_of(new("good")).await;
    let revoked = app.token_of(new("revoked")).await;
    tokens::revoke(&app.db, "revoked", &Origin::new("test")).await.unwrap();
    let expired = NewToken { expires_at: Some(Utc::now()), ..new("expired") };
    let expired = app.token_of(expired).await;
    let unknown = oubliette::access::SecretToken::generate().unwrap();
    let upper = good.to_uppercase();
    let header = |value: &str| Some(value.to_owned());

    app.take_statements();
    let mut bodies = Vec::new();
    for authorization in [
        None,
        header(""),
        header("Bearer"),
        header("Bearer "),
        header("Bearer x"),
        header(&good),
        header(&format!("Basic {good}")),
        header(&format!("Bearer {upper}")),
        header(&format!("Bearer {good}x")),
        header(&format!("Bearer {good}, Bearer {good}")),
        header(&format!("Bearer {}", unknown.expose())),
        header(&format!("Bearer {revoked}")),
        header(&format!("Bearer {expired}")),
    ] {
        let mut request = app.post("/graphql").json(&json!({ "query": QUERY, "variables": { "id": id } }));
        if let Some(value) = &authorization {
            request = request.header("authorization", value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{authorization:?}");
        let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert_eq!(
            challenge,
            if authorization.is_some() { "Bearer error=\"invalid_token\"" } else { "Bearer" }
        );
        let answer: Value = response.json().await.unwrap();
        assert_eq!(code(&answer), Some("UNAUTHENTICATED"), "{answer}");
        bodies.push(answer);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(app.backend.unwrapped(), 0);
    let statements = app.take_statements();
    assert!(statements.iter().all(|sql| sql.contains("access_tokens")), "{statements:?}");
    assert_eq!(statements.len(), 3, "only what can be a token is looked up: {statements:?}");

    let (status, answer) = app.ask(Some(&good), QUERY, json!({ "id": id })).await;
    assert_eq!((status, answer.get("errors")), (StatusCode::OK, None), "{answer}");
    let (status, _) = app.ask(Some(&good), "{ __typename }", json!({})).await;
    assert_eq!(status, StatusCode::OK);
}

async fn a_revoked_token_ends_on_all_servers_within_two_seconds(stack: TestStack) {
    let app = guarded(stack).await;
    let id = app.add(&Person::new()).await;
    let token = app.token_of(new("billing")).await;
    let ask = async || app.ask(Some(&token), QUERY, json!({ "id": id })).await.0;
    assert_eq!(ask().await, StatusCode::OK);
    // By another process: this server is not told.
    tokens::revoke(&app.db, "billing", &Origin::new("test")).await.unwrap();
    let revoked = Instant::now();
    while ask().await == StatusCode::OK {
        assert!(revoked.elapsed() < Duration::from_secs(2), "the token is still good");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // And does not come back.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(ask().await, StatusCode::UNAUTHORIZED);
}

async fn a_users_own_tokens_go_with_the_user(stack: TestStack) {
    let app = guarded(stack).await;
    let id = app.add(&Person::new()).await;
    let own = app.token("users:read users:forget pii:read", Some(id)).await;
    let forget = "mutation($id: ID!) { forgetUser(id: $id) { userId } }";
    let (_, answer) = app.ask(Some(&own), forget, json!({ "id": id })).await;
    assert_eq!(answer["data"]["forgetUser"]["userId"], id.to_string(), "{answer}");
    assert!(tokens::list(&app.db).await.unwrap().is_empty());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let (status, _) = app.ask(Some(&own), QUERY, json!({ "id": id })).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_that_expires_ends_then() {
    let app = guarded(TestStack::sqlite()).await;
    let id = app.add(&Person::new()).await;
    let end = Utc::now() + chrono::TimeDelta::milliseconds(800);
    let token = app.token_of(NewToken { expires_at: Some(end), ..new("short") }).await;
    let (status, _) = app.ask(Some(&token), QUERY, json!({ "id": id })).await;
    assert_eq!(status, StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(900)).await;
    let (status, _) = app.ask(Some(&token), QUERY, json!({ "id": id })).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "a remembered answer does not outlive the token");
}

#[tokio::test]
async fn the_use_of_a_token_is_recorded() {
    let app = guarded(TestStack::sqlite()).await;
    let token = app.token_of(new("used")).await;
    app.token_of(new("unused")).await;
    for _ in 0..20 {
        app.ask(Some(&token), "{ __typename }", json!({})).await;
    }
    let started = Instant::now();
    loop {
        let rows = tokens::list(&app.db).await.unwrap();
        assert_eq!(rows[1].last_used_at, None);
        if rows[0].last_used_at.is_some() {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "not recorded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// If it cannot be told whether a token is good, it is not.
#[tokio::test]
async fn a_token_that_cannot_be_looked_up_is_not_let_in() {
    let app = TestApp::start_with(TestStack::sqlite(), with_tokens).await;
    let token = app.token_of(new("good")).await;
    app.sql("ALTER TABLE access_tokens RENAME TO elsewhere").await;
    let (status, answer) = app.ask(Some(&token), "{ __typename }", json!({})).await;
    assert_eq!((status, code(&answer)), (StatusCode::SERVICE_UNAVAILABLE, Some("UNAVAILABLE")), "{answer}");
    app.sql("ALTER TABLE elsewhere RENAME TO access_tokens").await;
    let (status, _) = app.ask(Some(&token), "{ __typename }", json!({})).await;
    assert_eq!(status, StatusCode::OK);
}

/// A release that does not know a scope does not guess what is left of the token.
#[tokio::test]
async fn a_token_with_a_scope_of_a_later_release_is_refused() {
    let app = guarded(TestStack::sqlite()).await;
    let token = app.token_of(new("later")).await;
    app.sql("UPDATE access_tokens SET scopes = 'users:read users:export'").await;
    let (status, _) = app.ask(Some(&token), "{ __typename }", json!({})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}
