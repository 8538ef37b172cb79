//! Tokens for some attributes only.

use oubliette::config::AuthMode;
use serde_json::{Value, json};

use super::values;
use crate::harness::{Person, TestApp, TestStack, on_both_databases};

on_both_databases!(every_caller_gets_their_attributes_and_no_others);

/// What is asked of a user, what it needs of a caller, and whether it is a change.
const REQUESTS: &[(&str, &[&[&str]])] = &[
    ("query($id: ID!) { user(id: $id) { id } }", &[&["users:read", "pii:read", "pii:read:*"]]),
    (
        "query($id: ID!) { user(id: $id) { username } }",
        &[&["users:read", "pii:read", "pii:read:*"], &["users:read", "users:write"]],
    ),
    (
        "query($id: ID!) { user(id: $id) { email } }",
        &[&["users:read", "pii:read", "pii:read:*"], &["pii:read", "pii:read:email"]],
    ),
    ("query($id: ID!) { user(id: $id) { emailMasked } }", &[&["users:read"]]),
    (
        "query($id: ID!) { user(id: $id) { attribute(name: \"full_name\") { value } } }",
        &[&["pii:read", "pii:read:full_name"]],
    ),
    ("query($id: ID!) { user(id: $id) { attribute(name: \"full_name\") { masked } } }", &[&["users:read"]]),
    // That there is one, or none.
    (
        "query($id: ID!) { user(id: $id) { attribute(name: \"full_name\") { name } } }",
        &[
            &["users:read", "pii:read", "pii:read:*"],
            &["users:read", "pii:read", "pii:read:full_name", "users:write", "users:write:full_name"],
        ],
    ),
    (
        "query($id: ID!) { user(id: $id) { attributes(names: [\"full_name\", \"email\"]) { updatedAt } } }",
        &[
            &["users:read", "pii:read", "pii:read:*"],
            &["users:read", "pii:read", "pii:read:full_name", "users:write", "users:write:full_name"],
            &["users:read", "pii:read", "pii:read:email", "users:write", "users:write:email"],
        ],
    ),
    (
        "query($id: ID!) { user(id: $id) { attributes { name } } }",
        &[&["users:read", "pii:read", "pii:read:*"]],
    ),
    (
        "query($id: ID!) { user(id: $id) { attributes(names: [\"full_name\"]) { name value } } }",
        &[&["pii:read", "pii:read:full_name"]],
    ),
    (
        "query($id: ID!) { user(id: $id) { attribute(name: \"email\") { value } } }",
        &[&["pii:read", "pii:read:email"]],
    ),
    (
        "query($id: ID!) { user(id: $id) { attributes(names: [\"full_name\", \"email\"]) { value } } }",
        &[&["pii:read", "pii:read:full_name"], &["pii:read", "pii:read:email"]],
    ),
    (
        "{ attributeDefinitions { name } }",
        &[&["users:read", "users:write", "pii:read", "pii:read:*", "users:write:*"]],
    ),
    (
        "{ users(first: 1) { nodes { attribute(name: \"full_name\") { value } } } }",
        &[&["users:read"], &["pii:read", "pii:read:full_name"]],
    ),
    (
        "mutation($id: ID!) { updateUser(id: $id, input: { attributes: [{ name: \"full_name\", value: \"Ada\" }] }) { id } }",
        &[&["users:write", "users:write:full_name"]],
    ),
    (
        "mutation($id: ID!) { updateUser(id: $id, input: { email: \"ada@example.com\" }) { id } }",
        &[&["users:write", "users:write:email"]],
    ),
    (
        "mutation($id: ID!) { updateUser(id: $id, input: { attributes: [{ name: \"email\" }, { name: \"full_name\" , value: \"Ada\" }] }) { id } }",
        &[&["users:write", "users:write:email"], &["users:write", "users:write:full_name"]],
    ),
    ("mutation($id: ID!) { updateUser(id: $id, input: { email: null }) { username } }", &[&["users:write"]]),
    ("mutation($id: ID!) { updateUser(id: $id, input: {}) { id } }", &[&["users:write"]]),
    (
        "mutation($id: ID!) { updateUser(id: $id, input: { username: \"another\" }) { id } }",
        &[&["users:write"]],
    ),
    (
        "mutation { createUser(input: { username: \"somebody\", attributes: [{ name: \"full_name\", value: \"Ada\" }] }) { id } }",
        &[&["users:write"]],
    ),
];

const CALLERS: &[&str] = &[
    "pii:read:full_name",
    "pii:read:email",
    "pii:read:full_name pii:read:email",
    "pii:read",
    "users:read",
    "users:read pii:read:full_name",
    "users:write:full_name",
    "users:write:email",
    "users:write:full_name users:write:email",
    "users:write:postal_address pii:read:postal_address",
    "users:write pii:read:full_name",
    "users:forget",
    "audit:read",
];

fn has(caller: &str, scope: &str) -> bool {
    caller.split(' ').any(|own| match scope.strip_suffix('*') {
        Some(start) => own.starts_with(start),
        None => own == scope,
    })
}

async fn every_caller_gets_their_attributes_and_no_others(stack: TestStack) {
    let app = TestApp::start_with(stack, |config| config.auth.mode = AuthMode::Tokens).await;
    let all = app.token("users:read users:write pii:read", None).await;
    let mut refused = 0;
    for caller in CALLERS {
        for (bound, own) in [(false, true), (true, true), (true, false)] {
            let (id, values) = made(&app, &all).await;
            let (other, _) = made(&app, &all).await;
            let whose = bound.then_some(if own { id } else { other });
            let token = app.token(caller, whose).await;
            for (query, needs) in REQUESTS {
                let by_scope = needs.iter().all(|any| any.iter().any(|scope| has(caller, scope)));
                let about_all = query.contains("users(") || query.contains("createUser");
                let about_nobody = query.contains("attributeDefinitions");
                let renames = query.contains("username:") && !query.contains("createUser");
                let by_subject = !bound || about_nobody || (own && !about_all && !renames);
                app.keyring.evict_all().await;
                let unwrapped = app.backend.unwrapped();
                let (_, answer) = app.ask(Some(&token), query, json!({ "id": id })).await;
                let what = format!("{caller}, {whose:?}: {query}: {answer}");
                if by_scope && by_subject {
                    assert_eq!(answer.get("errors"), None, "{what}");
                } else {
                    refused += 1;
                    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{what}"));
                    assert!(errors.iter().all(|error| error["extensions"]["code"] == "FORBIDDEN"), "{what}");
                    if needs.len() == 1 || !by_subject {
                        assert_eq!(app.backend.unwrapped(), unwrapped, "{what}");
                        assert!(!answer.to_string().contains(&values[0].1), "{what}");
                    }
                }
            }
        }
    }
    assert!(refused > 300, "{refused}");
}

async fn made(app: &TestApp, token: &str) -> (uuid::Uuid, Vec<(&'static str, String)>) {
    let person = Person::new();
    let id = app.add(&person).await;
    let values = values();
    let attributes: Vec<Value> =
        values.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let query = "mutation($id: ID!, $attributes: [AttributeInput!]) { updateUser(id: $id, input: { attributes: $attributes }) { id } }";
    let (_, answer) = app.ask(Some(token), query, json!({ "id": id, "attributes": attributes })).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    (id, values)
}
