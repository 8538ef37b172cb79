//! What a look-up costs the caller: as much as a person, found or not.

use oubliette::{
    access::tokens::NewToken,
    config::{AuthMode, Config},
};
use serde_json::{Value, json};

use super::code;
use crate::harness::{Person, TestApp, TestStack};

const FIND: &str = "query($value: String!) { userByEmail(email: $value) { id } }";

fn with_tokens(config: &mut Config) {
    config.auth.mode = AuthMode::Tokens;
}

async fn token(app: &TestApp, subjects_per_minute: u32) -> String {
    let new = NewToken {
        name: format!("t-{:016x}", rand::random::<u64>()),
        scopes: "users:find users:read pii:read audit:read".parse().unwrap(),
        subject: None,
        subjects_per_minute: Some(subjects_per_minute),
        expires_at: None,
    };
    app.token_of(new).await
}

async fn find(app: &TestApp, token: &str, person: &Person) -> Value {
    app.ask(Some(token), FIND, json!({ "value": person.email })).await.1
}

#[tokio::test]
async fn found_or_not_a_look_up_is_paid_for_and_who_has_spent_all_learns_nothing() {
    let app = TestApp::start_with(TestStack::sqlite(), with_tokens).await;
    let (ada, eve) = (Person::new(), Person::new());
    app.add(&ada).await;
    app.add(&eve).await;
    let token = token(&app, 4).await;
    // Ada counts once, however often she is found and seen.
    for _ in 0..3 {
        assert_eq!(code(&find(&app, &token, &ada).await), None);
    }
    let query = "query($value: String!) { userByEmail(email: $value) { id email phone } }";
    let (_, answer) = app.ask(Some(&token), query, json!({ "value": ada.email })).await;
    assert_eq!(code(&answer), None, "{answer}");
    for _ in 0..3 {
        assert_eq!(code(&find(&app, &token, &Person::new()).await), None);
    }
    let nobody = Person::new();
    let mut said = Vec::new();
    for person in [&ada, &eve, &nobody] {
        let answer = find(&app, &token, person).await;
        assert_eq!(code(&answer), Some("RATE_LIMITED"), "{answer}");
        said.push(answer["errors"][0]["message"].clone());
    }
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
}

#[tokio::test]
async fn a_thousand_misses_are_a_thousand_looks() {
    let app = TestApp::start_with(TestStack::postgres(), with_tokens).await;
    let token = token(&app, 1_000).await;
    // A hundred in each document.
    let mut document = String::from("{");
    for request in 0..10 {
        document.truncate(1);
        for number in 0..100 {
            let place = request * 100 + number;
            document.push_str(&format!(
                " a{number}: userByEmail(email: \"nobody-{place}@example.com\") {{ id }}"
            ));
        }
        document.push('}');
        let (_, answer) = app.ask(Some(&token), &document, json!({})).await;
        assert_eq!(answer.get("errors"), None, "{answer}");
    }
    assert_eq!(code(&find(&app, &token, &Person::new()).await), Some("RATE_LIMITED"));
    let counted = app
        .rows("SELECT CAST(SUM(count) AS bigint) FROM audit_events WHERE action = 'find' AND outcome = 'ok'")
        .await;
    assert_eq!(counted[0].try_get_by_index::<i64>(0).unwrap(), 1_000);
}
