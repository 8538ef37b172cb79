//! Who may look for whom, and what is left of it in the audit trail.

use oubliette::config::{AuthMode, Config};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{BY, BY_EMAIL, by_national_id, code};
use crate::harness::{Person, TestApp, TestStack, on_both_databases};

on_both_databases!(
    who_may_not_look_for_others_learns_nothing,
    a_caller_bound_to_one_user_changes_nothing_that_one_alone_can_have,
    each_look_up_is_in_the_trail_without_its_value,
);

fn with_tokens(config: &mut Config) {
    config.auth.mode = AuthMode::Tokens;
    by_national_id(true)(config);
}

async fn who_may_not_look_for_others_learns_nothing(stack: TestStack) {
    let app = TestApp::start_with(stack, with_tokens).await;
    let ada = Person::new();
    let id = app.add(&ada).await;
    for (scopes, own, permitted) in [
        ("users:find", None, true),
        ("users:find:email", None, true),
        ("users:find:phone users:read pii:read", None, false),
        ("users:read users:write users:forget pii:read audit:read", None, false),
        // Also of themselves: whether the address is theirs is nothing that others have to be asked for.
        ("users:find users:read", Some(id), false),
    ] {
        let token = app.token(scopes, own).await;
        let answers = [
            app.ask(
                Some(&token),
                "query($value: String!) { userByEmail(email: $value) { id } }",
                json!({ "value": ada.email }),
            )
            .await,
            app.ask(Some(&token), BY, json!({ "attribute": "email", "value": ada.email })).await,
            app.ask(Some(&token), BY, json!({ "attribute": "email", "value": Person::new().email })).await,
        ];
        for (status, answer) in answers {
            assert_eq!(status, StatusCode::OK);
            let expected = if permitted { None } else { Some("FORBIDDEN") };
            assert_eq!(code(&answer), expected, "{scopes} {answer}");
        }
    }
    // To be found is not to be seen.
    let token = app.token("users:find", None).await;
    let (_, answer) = app.ask(Some(&token), BY_EMAIL, json!({ "value": ada.email })).await;
    assert_eq!(answer["data"]["userByEmail"], json!({ "id": id, "email": null }));
    assert_eq!(code(&answer), Some("FORBIDDEN"));
}

async fn a_caller_bound_to_one_user_changes_nothing_that_one_alone_can_have(stack: TestStack) {
    let app = TestApp::start_with(stack, with_tokens).await;
    let (id, other) = (app.add(&Person::new()).await, app.add(&Person::new()).await);
    let clerk = app.token("users:write users:read", None).await;
    let own = app.token("users:write users:read", Some(id)).await;
    let query = "mutation($id: ID!, $value: String!) {
        updateUser(id: $id, input: { attributes: [{ name: \"national_id\", value: $value }] }) { id } }";
    let set = async |token: &str, id, value: &str| {
        app.ask(Some(token), query, json!({ "id": id, "value": value })).await.1
    };
    assert_eq!(code(&set(&clerk, other, "A123456789").await), None);
    for value in ["A123456789", "A000000000"] {
        let answer = set(&own, id, value).await;
        assert_eq!(code(&answer), Some("FORBIDDEN"), "{answer}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains("national_id"), "{answer}");
    }
    assert_eq!(code(&set(&clerk, id, "a 123 456 789").await), Some("CONFLICT"));
    // What several can have is theirs to change.
    let query =
        "mutation($id: ID!, $email: String!) { updateUser(id: $id, input: { email: $email }) { id } }";
    let (_, answer) = app.ask(Some(&own), query, json!({ "id": id, "email": Person::new().email })).await;
    assert_eq!(code(&answer), None, "{answer}");
}

async fn each_look_up_is_in_the_trail_without_its_value(stack: TestStack) {
    let app = TestApp::start_with(stack, by_national_id(false)).await;
    let (ada, nobody) = (Person::new(), Person::new());
    let id = app.create(&ada).await;
    let query = "query($ada: String!, $nobody: String!, $phone: String!) {
        a: userByEmail(email: $ada) { id email } b: userByEmail(email: $nobody) { id }
        c: usersBy(attribute: \"phone\", value: $phone) { nodes { id } } d: usersBy(attribute: \"national_id\", value: \"A123456789\") { nodes { id } } }";
    let variables = json!({ "ada": ada.email, "nobody": nobody.email, "phone": ada.phone });
    app.data(query, variables).await;
    let query = "{ auditEvents(first: 100) { nodes { action attributes target count outcome subjectId } } }";
    let events = app.data(query, json!({})).await["auditEvents"]["nodes"].clone();
    let find = |attribute: &str, target: &str, subject: Value| json!({ "action": "find", "attributes": [attribute], "target": target, "count": 1, "outcome": "ok", "subjectId": subject });
    let found: Vec<_> = events.as_array().unwrap().iter().filter(|event| event["action"] == "find").collect();
    assert_eq!(found.len(), 4, "{events}");
    for expected in [
        find("email", "hit", json!(id)),
        find("email", "miss", Value::Null),
        find("phone", "hit", json!(id)),
        find("national_id", "miss", Value::Null),
    ] {
        assert!(found.contains(&&expected), "{expected} {events}");
    }
    // What was seen of them is a look of its own.
    assert!(events.as_array().unwrap().iter().any(|event| event["action"] == "read_pii"), "{events}");
}
