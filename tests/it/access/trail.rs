//! What callers looked at, and were refused.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{code, guarded};
use crate::harness::{Person, TestApp, TestStack, on_both_databases};

on_both_databases!(
    each_look_leaves_its_event,
    refusals_and_failures_leave_theirs,
    who_is_bound_to_one_user_does_not_find_out_names,
    what_cannot_be_recorded_is_not_answered,
    the_trail_is_read_page_by_page,
);

/// Events but those of tokens and users made by the test, as the API tells them.
async fn events(app: &TestApp, auditor: &str, at_least: usize) -> Vec<Value> {
    let query = "{ auditEvents(first: 100) { nodes { actor action subjectId subjectIds count attributes requestId outcome } } }";
    let started = Instant::now();
    loop {
        let (_, answer) = app.ask(Some(auditor), query, json!({})).await;
        let nodes = answer["data"]["auditEvents"]["nodes"].as_array().expect("events").clone();
        let events: Vec<_> = nodes.into_iter().filter(|event| event["actor"] != "test").collect();
        if events.len() >= at_least {
            return events;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{at_least} expected: {events:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn ask(
    app: &TestApp,
    token: &str,
    request_id: &str,
    query: &str,
    id: Option<Uuid>,
) -> (StatusCode, Value) {
    let body = json!({ "query": query, "variables": { "id": id } });
    let request = app.post("/graphql").bearer_auth(token).header("x-request-id", request_id).json(&body);
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn each_look_leaves_its_event(stack: TestStack) {
    let app = guarded(stack).await;
    let auditor = app.token("audit:read", None).await;
    let reader = app.token("users:read pii:read", None).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(app.add(&Person::new()).await);
    }
    let all = "query($id: ID!) { user(id: $id) { phone email again: email emailMasked username } }";
    ask(&app, &reader, "one", all, Some(ids[1])).await;
    ask(&app, &reader, "none", "query($id: ID!) { user(id: $id) { username } }", Some(ids[1])).await;
    ask(&app, &reader, "page", "{ users(first: 3) { nodes { id email } } }", None).await;
    let seen = events(&app, &auditor, 2).await;
    for event in &seen {
        assert!(event["actor"].as_str().unwrap().starts_with("token:t-"), "{event}");
        assert_eq!((&event["action"], &event["outcome"]), (&json!("read_pii"), &json!("ok")));
    }
    let told =
        |event: &Value| json!([event["requestId"], event["subjectIds"], event["count"], event["attributes"]]);
    let expected =
        [json!(["one", [ids[1]], 1, ["email", "email_masked", "phone"]]), json!(["page", ids, 3, ["email"]])];
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), expected);
    // Of a page of several, who asks about one is told of that one.
    for auditor in [&auditor, &app.token("audit:read", Some(ids[1])).await] {
        let query = "query($id: ID!) { auditEvents(subjectId: $id) { nodes { action requestId subjectId subjectIds } } }";
        let (_, answer) = app.ask(Some(auditor), query, json!({ "id": ids[1] })).await;
        let nodes = answer["data"]["auditEvents"]["nodes"].as_array().unwrap();
        let page = nodes.iter().find(|event| event["requestId"] == "page").expect("the page is found");
        assert_eq!((&page["subjectId"], &page["subjectIds"]), (&Value::Null, &json!([ids[1]])));
        assert!(!answer.to_string().contains(&ids[0].to_string()), "{answer}");
    }
}

async fn refusals_and_failures_leave_theirs(stack: TestStack) {
    let app = guarded(stack).await;
    let auditor = app.token("audit:read", None).await;
    let [few, all] = [app.token("users:read", None).await, app.token("users:read pii:read", None).await];
    let [first, second] = [app.add(&Person::new()).await, app.add(&Person::new()).await];
    app.set_column(second, "email_encrypted", b"nonsense").await;
    ask(&app, &few, "denied-page", "{ users(first: 2) { nodes { email phone } } }", None).await;
    ask(&app, &few, "denied-change", "mutation($id: ID!) { forgetUser(id: $id) { digest } }", Some(first))
        .await;
    ask(&app, &few, "denied-new", "mutation { createUser(input: { username: \"x\" }) { id } }", None).await;
    ask(&app, &all, "failed", "query($id: ID!) { user(id: $id) { email phone } }", Some(second)).await;
    let mut seen: Vec<_> = events(&app, &auditor, 5)
        .await
        .iter()
        .map(|event| {
            let field = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
            (
                field("requestId"),
                field("action"),
                field("outcome"),
                field("subjectId"),
                event["attributes"].to_string(),
            )
        })
        .collect();
    seen.sort();
    // The fields of a page are resolved in any order; one refusal stands for all of them.
    let page = seen.iter().position(|event| event.0 == "denied-page").unwrap();
    let page = seen.remove(page);
    assert_eq!((page.1.as_str(), page.2.as_str()), ("read_pii", "denied"));
    let [first, second] = [first.to_string(), second.to_string()];
    let expected = [
        ("denied-change", "forget", "denied", &*first, "[]"),
        ("denied-new", "create", "denied", "-", "[]"),
        ("failed", "read_pii", "failed", &*second, r#"["email"]"#),
        ("failed", "read_pii", "ok", &*second, r#"["phone"]"#),
    ];
    let expected = expected.map(|(a, b, c, d, e)| (a.into(), b.into(), c.into(), d.into(), e.into()));
    assert_eq!(seen, expected);
}

async fn what_cannot_be_recorded_is_not_answered(stack: TestStack) {
    let app = guarded(stack).await;
    let reader = app.token("users:read users:write pii:read", None).await;
    let person = Person::new();
    let id = app.add(&person).await;
    app.sql("ALTER TABLE audit_events RENAME TO elsewhere").await;
    let query = "query($id: ID!) { user(id: $id) { username email } }";
    let (status, answer) = ask(&app, &reader, "one", query, Some(id)).await;
    assert_eq!((status, code(&answer)), (StatusCode::SERVICE_UNAVAILABLE, Some("UNAVAILABLE")), "{answer}");
    assert!(!answer.to_string().contains(&person.email) && answer.get("data").is_none(), "{answer}");
    let new = "mutation { createUser(input: { username: \"nobody\" }) { id } }";
    let (_, answer) = ask(&app, &reader, "two", new, None).await;
    assert_eq!(code(&answer), Some("INTERNAL"), "{answer}");
    // What is not personal needs no event.
    let (status, answer) =
        ask(&app, &reader, "three", "query($id: ID!) { user(id: $id) { username } }", Some(id)).await;
    assert_eq!((status, &answer["data"]["user"]["username"]), (StatusCode::OK, &json!(person.username)));
    app.sql("ALTER TABLE elsewhere RENAME TO audit_events").await;
    let (_, answer) = ask(&app, &reader, "four", query, Some(id)).await;
    assert_eq!(answer["data"]["user"]["email"], person.email, "{answer}");
    let (_, answer) =
        app.ask(Some(&reader), "{ userByUsername(username: \"nobody\") { id } }", json!({})).await;
    assert_eq!(answer["data"]["userByUsername"], Value::Null, "nothing was created: {answer}");
}

/// `CONFLICT`, or done: by renaming oneself, one could find out who else is there.
async fn who_is_bound_to_one_user_does_not_find_out_names(stack: TestStack) {
    let app = guarded(stack).await;
    let auditor = app.token("audit:read", None).await;
    let (own, other) = (Person::new(), Person::new());
    let id = app.add(&own).await;
    app.add(&other).await;
    let bound = app.token("users:read users:write", Some(id)).await;
    let query =
        "mutation($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { username } }";
    for name in [&other.username, "nobody-has-this", &own.username] {
        let variables = json!({ "id": id, "input": { "username": name, "phone": null } });
        let (_, answer) = app.ask(Some(&bound), query, variables).await;
        assert_eq!(code(&answer), Some("FORBIDDEN"), "{name}: {answer}");
        assert_eq!(answer["data"], json!({ "updateUser": null }));
    }
    let refused = events(&app, &auditor, 3).await;
    assert!(
        refused.iter().all(|event| event["action"] == "update" && event["outcome"] == "denied"),
        "{refused:?}"
    );
    // What does not rename is theirs to change.
    let (_, answer) = app.ask(Some(&bound), query, json!({ "id": id, "input": { "phone": null } })).await;
    assert_eq!(answer["data"]["updateUser"]["username"], own.username, "{answer}");
}

async fn the_trail_is_read_page_by_page(stack: TestStack) {
    let app = guarded(stack).await;
    let auditor = app.token("audit:read", None).await;
    let reader = app.token("users:read pii:read", None).await;
    let [one, other] = [app.add(&Person::new()).await, app.add(&Person::new()).await];
    for id in [one, other, one, other, one] {
        ask(&app, &reader, "x", "query($id: ID!) { user(id: $id) { email } }", Some(id)).await;
    }
    let query = "query($id: ID, $actor: String, $after: String) {
        auditEvents(subjectId: $id, actor: $actor, after: $after, first: 2) {
            edges { cursor node { sequence action subjectId } }
            pageInfo { hasNextPage endCursor }
        }
    }";
    let mut sequences = Vec::new();
    let mut after = Value::Null;
    loop {
        let variables = json!({ "id": one, "after": after });
        let (_, answer) = app.ask(Some(&auditor), query, variables).await;
        let page = &answer["data"]["auditEvents"];
        for edge in page["edges"].as_array().expect("a page") {
            assert_eq!(edge["node"]["subjectId"], one.to_string());
            sequences.push(edge["node"]["sequence"].as_str().unwrap().parse::<i64>().unwrap());
        }
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(sequences.len(), 4, "created, and read three times: {sequences:?}");
    assert!(sequences.is_sorted());
    let (_, answer) = app.ask(Some(&auditor), query, json!({ "actor": "nobody" })).await;
    assert_eq!(answer["data"]["auditEvents"]["edges"], json!([]));
    for variables in [json!({ "after": "nonsense" }), json!({ "id": "nonsense" })] {
        let (_, answer) = app.ask(Some(&auditor), query, variables).await;
        assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{answer}");
    }
}
