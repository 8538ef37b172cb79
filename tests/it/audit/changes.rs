//! A change and its event are there together, or neither is.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use oubliette::{
    audit::Origin,
    database::Before,
    keys::sweep::{Controls, SweepOptions, Tally},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{events, fault};
use crate::harness::{Person, TestApp, TestStack, on_both_databases};

on_both_databases!(
    each_change_leaves_one_event,
    what_fails_leaves_none,
    without_its_event_nothing_changes,
    nothing_of_a_forgotten_user_is_left_in_the_trail,
);

const UPDATE: &str =
    "mutation($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { id } }";

/// Action, subject, attributes and target of each event.
async fn told(app: &TestApp) -> Vec<(String, Option<Uuid>, String, Option<String>)> {
    let events = events(&app.db).await;
    events.into_iter().map(|event| (event.action, event.subject_id, event.attributes, event.target)).collect()
}

async fn rotate(app: &TestApp, id: Uuid) {
    let before = Before::ask(&app.db, None).await.unwrap();
    let rotate = app.users.rotate(Some(vec![id.into()]), before, Origin::new("admin:somebody"));
    let controls = Controls {
        stop: CancellationToken::new(),
        tally: Arc::new(Tally::default()),
        on_failure: Arc::new(|failure| panic!("{failure:?}")),
        on_wait: Arc::new(|_| ()),
    };
    let options = SweepOptions {
        batch_size: NonZeroU32::MIN,
        concurrency: NonZeroUsize::MIN,
        max_rate: None,
        limit: None,
        patience: Duration::ZERO,
    };
    rotate.run(&options, &controls).await.unwrap();
}

async fn each_change_leaves_one_event(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let id = app.create(&Person::new()).await;
    app.data(UPDATE, json!({ "id": id, "input": { "username": "ada", "email": null } })).await;
    app.data(UPDATE, json!({ "id": id, "input": { "phone": "+44 20 7946 0958" } })).await;
    rotate(&app, id).await;
    app.forget(id).await;
    app.forget(id).await;
    let event = |action: &str, attributes: &str, target: Option<&str>| {
        (action.to_owned(), Some(id), attributes.to_owned(), target.map(str::to_owned))
    };
    let expected = [
        event("create", "username,email,phone", None),
        event("update", "username,email", None),
        event("update", "phone", None),
        event("key_rotate", "", Some("data key 2")),
        event("forget", "", None),
    ];
    assert_eq!(told(&app).await, expected);
    let events = events(&app.db).await;
    assert!(events.iter().all(|event| event.outcome == "ok"));
    let of_the_api = |event: &&oubliette::entity::audit_event::Model| event.action != "key_rotate";
    assert!(
        events
            .iter()
            .filter(of_the_api)
            .all(|event| event.actor == "anonymous" && event.request_id.is_some())
    );
    let rotated = &events[3];
    assert_eq!((rotated.actor.as_str(), &rotated.request_id), ("admin:somebody", &None));
    assert_eq!(fault(&app.db).await, None);

    let body = json!({ "query": "mutation { createUser(input: { username: \"bob\" }) { id } }" });
    app.post("/graphql").header("x-request-id", "ticket-4711").json(&body).send().await.unwrap();
    let last = super::events(&app.db).await.pop().unwrap();
    assert_eq!((last.attributes.as_str(), last.request_id.as_deref()), ("username", Some("ticket-4711")));
}

async fn what_fails_leaves_none(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let (ada, bob) = (Person::new(), Person::new());
    let id = app.create(&ada).await;
    app.create(&bob).await;
    let create = "mutation($name: String!) { createUser(input: { username: $name }) { id } }";
    assert_eq!(app.code(create, json!({ "name": ada.username })).await, "CONFLICT");
    let taken = json!({ "id": id, "input": { "username": bob.username } });
    assert_eq!(app.code(UPDATE, taken).await, "CONFLICT");
    let nobody = json!({ "id": Uuid::now_v7(), "input": { "phone": null } });
    assert_eq!(app.code(UPDATE, nobody.clone()).await, "NOT_FOUND");
    let forget = "mutation($id: ID!) { forgetUser(id: $id) { sequence } }";
    assert_eq!(app.code(forget, nobody).await, "NOT_FOUND");
    let actions: Vec<_> = told(&app).await.into_iter().map(|(action, ..)| action).collect();
    assert_eq!(actions, ["create", "create"]);
}

async fn without_its_event_nothing_changes(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let id = app.create(&Person::new()).await;
    let sealed = app.column(id, "phone_encrypted").await;
    app.sql("DELETE FROM audit_head").await;
    let create = "mutation { createUser(input: { username: \"ada\" }) { id } }";
    assert_eq!(app.code(create, json!({})).await, "INTERNAL");
    assert_eq!(app.code(UPDATE, json!({ "id": id, "input": { "phone": null } })).await, "INTERNAL");
    let forget = "mutation($id: ID!) { forgetUser(id: $id) { sequence } }";
    assert_eq!(app.code(forget, json!({ "id": id })).await, "INTERNAL");
    assert_eq!(app.column(id, "phone_encrypted").await, sealed);
    assert_eq!(app.rows("SELECT * FROM users").await.len(), 1);
    assert!(app.rows("SELECT * FROM erasures").await.is_empty());
    assert_eq!(events(&app.db).await.len(), 1);
}

async fn nothing_of_a_forgotten_user_is_left_in_the_trail(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let person = Person::new();
    let id = app.create(&person).await;
    let renamed = Person::new();
    let input = json!({ "username": renamed.username, "email": renamed.email, "phone": renamed.phone });
    app.data(UPDATE, json!({ "id": id, "input": input })).await;
    app.read(id).await;
    app.forget(id).await;
    let dump = format!("{:?}", events(&app.db).await);
    assert!(dump.contains(&id.to_string()), "the search works");
    for person in [person, renamed] {
        let digits = person.phone.trim_start_matches('+').to_owned();
        for value in [person.username, person.email, person.phone, digits] {
            assert!(!dump.contains(&value), "{value}: {dump}");
        }
    }
}
