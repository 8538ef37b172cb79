//! Opaque tokens.

use std::time::{Duration, Instant};

use chrono::Utc;
use oubliette::{
    access::tokens::{self, NewToken, TokenError},
    audit::Origin,
};
use reqwest::StatusCode;
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::{Value, json};

use super::{code, guarded, with_tokens};
use crate::harness::{Person, TestApp, TestStack, on_both_databases, soon};

on_both_databases!(
    nobody_gets_in_without_a_good_token,
    a_revoked_token_ends_on_all_servers_within_two_seconds,
    a_users_own_tokens_go_with_the_user,
    nobody_is_bound_to_who_is_not_there,
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

/// What is known of a credential stands from when it was asked for, however late the answer came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_does_not_prolong_a_token() {
    let stack = TestStack::postgres();
    let (proxy, url) = stack.behind_a_proxy().await;
    let app = TestApp::start_with(stack, |config| {
        with_tokens(config);
        config.database.url = Some(url.into());
        config.database.max_connections = 1.try_into().unwrap();
    })
    .await;
    let token = app.token_of(new("billing")).await;
    let ask = async |token: &str| app.ask(Some(token), "{ __typename }", json!({})).await.0;
    // Its statement is prepared then: it is sent at once, and answered once.
    app.token_of(new("other")).await;
    let unknown = oubliette::access::SecretToken::generate().unwrap();
    assert_eq!(ask(unknown.expose()).await, StatusCode::UNAUTHORIZED);
    // The connection is pinged when it is given back, and after a second.
    tokio::time::sleep(Duration::from_millis(500)).await;

    proxy.mute();
    let revoked_meanwhile = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        tokens::revoke(&app.db, "billing", &Origin::new("test")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
        proxy.restore();
    };
    let (late, ()) = tokio::join!(ask(&token), revoked_meanwhile);
    assert_eq!(late, StatusCode::OK, "it was good when the database answered");
    assert_eq!(ask(&token).await, StatusCode::UNAUTHORIZED);
}

/// A forgetting that has begun, and one that is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_bound_to_a_user_who_is_being_forgotten() {
    let app = guarded(TestStack::postgres()).await;
    let id = app.add(&Person::new()).await;
    // Whoever writes to the trail waits: the forgetting, too, before it is stored.
    let held = app.db.begin().await.unwrap();
    held.execute_unprepared("SELECT * FROM audit_head FOR UPDATE").await.unwrap();
    let (bound, origin) = (NewToken { subject: Some(id.into()), ..new("own") }, Origin::new("test"));
    let (forgotten, made, ()) = tokio::join!(
        app.users.forget(id.into(), &origin),
        async {
            waiting(&app, 1).await;
            tokens::create(&app.db, bound, &origin).await
        },
        async {
            waiting(&app, 2).await;
            held.rollback().await.unwrap();
        },
    );
    assert_eq!(forgotten.unwrap().sequence, 1);
    assert!(matches!(made, Err(TokenError::Forgotten(_))), "{made:?}");
    assert!(tokens::list(&app.db).await.unwrap().is_empty());
}

/// Waits until this many sessions of the database wait for a lock.
async fn waiting(app: &TestApp, count: i64) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    soon("sessions wait", async || app.rows(sql).await[0].try_get_by_index::<i64>(0).unwrap() >= count).await;
}

async fn nobody_is_bound_to_who_is_not_there(stack: TestStack) {
    let app = guarded(stack).await;
    let [forgotten, here] = [app.add(&Person::new()).await, app.add(&Person::new()).await];
    app.users.forget(forgotten.into(), &Origin::new("test")).await.unwrap();
    let nobody = uuid::Uuid::now_v7();
    for (id, expected) in [(nobody, "there is no user "), (forgotten, "was forgotten")] {
        let bound = NewToken { subject: Some(id.into()), ..new("own") };
        let error = tokens::create(&app.db, bound, &Origin::new("test")).await.unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(&id.to_string()), "{error}");
    }
    assert!(tokens::list(&app.db).await.unwrap().is_empty());
    // The name is still free.
    app.token_of(NewToken { subject: Some(here.into()), ..new("own") }).await;
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
