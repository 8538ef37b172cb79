//! What was refused: one event for each request and action, and a budget for them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use oubliette::{
    audit::{Action, AuditError, NewEvent, Origin},
    config::AuditReads,
    entity::audit_event::{self, Model},
};
use reqwest::StatusCode;
use sea_orm::{ConnectionTrait, EntityTrait, QueryOrder, TransactionTrait};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{code, guarded, with_tokens};
use crate::harness::{Person, TestApp, TestStack, on_both_databases};

on_both_databases!(
    what_one_request_is_refused_is_one_event,
    whoever_is_bound_to_one_user_leaves_traces_of_looking_at_others,
    a_request_that_nobody_waits_for_leaves_its_refusals,
    whoever_is_refused_too_much_is_not_read,
    the_same_people_again_and_again_cost_looks,
);

/// What was refused, and more that is told of it, once there is as much of it.
async fn denied(app: &TestApp, at_least: usize) -> Vec<Model> {
    let started = Instant::now();
    loop {
        let all = audit_event::Entity::find().order_by_asc(audit_event::Column::Sequence).all(&app.db).await;
        let denied: Vec<_> = all.unwrap().into_iter().filter(|event| event.outcome == "denied").collect();
        if denied.len() >= at_least {
            return denied;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{at_least} expected: {denied:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// After as long as an event that nobody waits for may take.
async fn denied_later(app: &TestApp) -> Vec<Model> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    denied(app, 0).await
}

async fn what_one_request_is_refused_is_one_event(stack: TestStack) {
    let app = guarded(stack).await;
    let (nothing, auditor) = (app.token("audit:read", None).await, app.token("audit:read", None).await);
    let ids: Vec<_> = (0..3).map(|_| Uuid::now_v7()).collect();
    let forget = |n: usize| format!("f{n}: forgetUser(id: \"{}\") {{ digest }}", ids[n % 3]);
    let forget: String = (0..78).map(forget).collect();
    let (status, answer) = app.ask(Some(&nothing), &format!("mutation {{ {forget} }}"), json!({})).await;
    assert_eq!((status, answer["errors"].as_array().unwrap().len()), (StatusCode::OK, 78));
    // Each action by itself.
    let both = "mutation { createUser(input: { username: \"x\" }) { id } again: createUser(input: { username: \"x\" }) \
                { id } updateUser(id: \"01890a5d-ac96-774b-bcce-b302099a8057\", input: {}) { id } }";
    app.ask(Some(&nothing), both, json!({})).await;

    let told: Vec<_> = denied(&app, 3).await.into_iter().map(|event| (event.action, event.count)).collect();
    assert_eq!(told, [("forget".to_owned(), 78), ("create".to_owned(), 2), ("update".to_owned(), 1)]);
    assert_eq!(denied_later(&app).await.len(), 3);

    let query =
        "query($id: ID) { auditEvents(subjectId: $id) { nodes { action subjectId subjectIds count } } }";
    for id in &ids {
        let (_, answer) = app.ask(Some(&auditor), query, json!({ "id": id })).await;
        // Of the others, only who asks about all is told.
        let event = json!({ "action": "forget", "subjectId": null, "subjectIds": [id], "count": 78 });
        assert_eq!(answer["data"]["auditEvents"]["nodes"], json!([event]), "{answer}");
    }
    let (_, answer) = app.ask(Some(&auditor), query, json!({})).await;
    let nodes = answer["data"]["auditEvents"]["nodes"].as_array().unwrap();
    assert!(nodes.iter().any(|event| event["subjectIds"] == json!(ids)), "{answer}");
    assert_eq!(oubliette::audit::verify(&app.db, None).await.unwrap().fault, None);

    // Looks, too: with all whom they were about, and all that was wanted of them.
    let [one, two] = [app.add(&Person::new()).await, app.add(&Person::new()).await];
    let few = app.token("users:read", None).await;
    app.ask(Some(&few), "{ users(first: 2) { nodes { email phone } } }", json!({})).await;
    let looks = denied(&app, 4).await.remove(3);
    assert_eq!((&*looks.action, &*looks.attributes, looks.count), ("read_pii", "email,phone", 4));
    assert_eq!(looks.subject_ids, Some(format!("{one},{two}")));
}

async fn whoever_is_bound_to_one_user_leaves_traces_of_looking_at_others(stack: TestStack) {
    let app = guarded(stack).await;
    let (own, other) = (Person::new(), Person::new());
    let (id, stranger) = (app.add(&own).await, app.add(&other).await);
    let bound = app.token("users:read audit:read pii:read", Some(id)).await;
    let queries = [
        ("query($id: ID!) { user(id: $id) { email } }", true),
        ("query($name: String!) { userByUsername(username: $name) { id } }", false),
        ("{ users(first: 2) { nodes { email } } }", false),
        ("query($id: ID!) { erasure(userId: $id) { digest } }", true),
        ("query($id: ID!) { auditEvents(subjectId: $id) { nodes { action } } }", true),
        ("{ auditEvents { nodes { action } } }", false),
    ];
    for (count, (query, about_other)) in (1..).zip(queries) {
        let variables = json!({ "id": stranger, "name": other.username });
        let (_, answer) = app.ask(Some(&bound), query, variables).await;
        assert_eq!(code(&answer), Some("FORBIDDEN"), "{query}: {answer}");
        let event = denied(&app, count).await.pop().unwrap();
        assert_eq!((&*event.action, event.actor), ("read", format!("self:{id}")), "{query}");
        assert_eq!(event.subject_id, about_other.then_some(stranger), "{query}");
        assert_eq!((event.count, event.attributes), (1, String::new()), "{query}");
    }
    // What is their own leaves none.
    let query = "query($id: ID!, $name: String!) { user(id: $id) { email } userByUsername(username: $name) { phone } }";
    let (_, answer) = app.ask(Some(&bound), query, json!({ "id": id, "name": own.username })).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    assert_eq!(denied_later(&app).await.len(), queries.len());
    // Neither has whoever lacks the scope.
    let nothing = app.token("audit:read", None).await;
    app.ask(Some(&nothing), "{ userByUsername(username: \"x\") { id } }", json!({})).await;
    assert_eq!(denied(&app, queries.len() + 1).await.pop().unwrap().action, "read");
}

/// A client that has seen enough, and a time that is over.
async fn a_request_that_nobody_waits_for_leaves_its_refusals(stack: TestStack) {
    let configure = |config: &mut oubliette::config::Config| {
        with_tokens(config);
        config.http.request_timeout = Duration::from_secs(3);
    };
    let app = TestApp::start_with(stack, configure).await;
    let id = app.add(&Person::new()).await;
    let bound = app.token("users:read pii:read", Some(id)).await;
    let query =
        "query($own: ID!, $other: ID!) { other: user(id: $other) { id } own: user(id: $own) { email } }";
    let ask = |other: Uuid| {
        let body = json!({ "query": query, "variables": { "own": id, "other": other } });
        app.post("/graphql").bearer_auth(&bound).json(&body)
    };
    app.backend.hold();
    for (count, client_waits) in [(1, false), (2, true)] {
        let other = Uuid::now_v7();
        if client_waits {
            assert_eq!(ask(other).send().await.unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
        } else {
            assert!(ask(other).timeout(Duration::from_millis(500)).send().await.unwrap_err().is_timeout());
        }
        let event = denied(&app, count).await.pop().unwrap();
        assert_eq!(
            (&*event.action, event.subject_id),
            ("read", Some(other)),
            "the client waits: {client_waits}"
        );
    }
    app.backend.release();
    assert_eq!(denied_later(&app).await.len(), 2, "once each");
}

async fn whoever_is_refused_too_much_is_not_read(stack: TestStack) {
    let configure = |config: &mut oubliette::config::Config| {
        with_tokens(config);
        config.limits.refusals_per_minute_per_token = 3;
    };
    let app = TestApp::start_with(stack, configure).await;
    let [hostile, other] = [app.token("users:read", None).await, app.token("users:read", None).await];
    let forget = "mutation { a: forgetUser(id: \"01890a5d-ac96-774b-bcce-b302099a8057\") { digest } }";
    for _ in 0..3 {
        assert_eq!(app.ask(Some(&hostile), forget, json!({})).await.0, StatusCode::OK);
    }
    let started = Instant::now();
    for query in [forget, "{ __typename }", "not GraphQL", "{ __typename }"] {
        let request = app.post("/graphql").bearer_auth(&hostile).json(&json!({ "query": query }));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS, "{query}");
        let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((50..=60).contains(&wait) || started.elapsed() > Duration::from_secs(5), "{wait}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(code(&answer), Some("RATE_LIMITED"), "{answer}");
        assert_eq!(answer["errors"][0]["extensions"]["retryAfter"], wait);
    }
    assert_eq!(app.ask(Some(&other), "{ __typename }", json!({})).await.0, StatusCode::OK);
    assert_eq!(denied(&app, 3).await.len(), 3);

    // What happens once the minute is over, or the server stops.
    app.refusals.finish(&app.trail);
    let all = denied(&app, 4).await;
    let told: Vec<_> = all.iter().map(|event| (&*event.action, event.count)).collect();
    assert_eq!(told, [("forget", 1), ("forget", 1), ("forget", 1), ("requests_refused", 4)]);
    assert_eq!((&all[3].actor, all[3].subject_id, &all[3].request_id), (&all[0].actor, None, &None));
    app.refusals.finish(&app.trail);
    assert_eq!(denied_later(&app).await.len(), 4, "once");
}

async fn the_same_people_again_and_again_cost_looks(stack: TestStack) {
    let configure = |config: &mut oubliette::config::Config| {
        with_tokens(config);
        config.limits.looks_per_second_per_token = 10;
    };
    let app = TestApp::start_with(stack, configure).await;
    for _ in 0..20 {
        app.add(&Person::new()).await;
    }
    let [greedy, modest] = [app.token("users:read", None).await, app.token("users:read", None).await];
    let page = "{ users(first: 20) { nodes { id username emailMasked phoneMasked } } }";
    let started = Instant::now();
    let mut opened = 0;
    let mut refused = 0;
    for round in 0..10 {
        let (status, answer) = app.ask(Some(&greedy), page, json!({})).await;
        assert_eq!(status, StatusCode::OK);
        let nodes = answer["data"]["users"]["nodes"].as_array().unwrap();
        let seen = nodes.iter().filter(|node| !node["emailMasked"].is_null()).count();
        assert!(round > 0 || seen == 20, "20 at once: {answer}");
        let both = nodes.iter().all(|node| node["emailMasked"].is_null() == node["phoneMasked"].is_null());
        assert!(both && nodes.iter().all(|node| node["username"].is_string()), "{answer}");
        opened += seen;
        for error in answer["errors"].as_array().unwrap_or(&Vec::new()) {
            assert_eq!(error["extensions"]["code"], "RATE_LIMITED");
            assert_eq!(error["extensions"]["retryAfter"], 1, "{error}");
            refused += 1;
        }
    }
    let allowed = 20.0 + 10.0 * started.elapsed().as_secs_f64();
    assert!(
        opened <= 201 && f64::from(u32::try_from(opened).unwrap()) <= allowed + 1.0,
        "{opened}, {allowed}"
    );
    assert!(refused > 0);
    let (_, answer) = app.ask(Some(&modest), page, json!({})).await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    // Each look is in an event, and each refused request left one.
    let events = audit_event::Entity::find().all(&app.db).await.unwrap();
    let looks = events.iter().filter(|event| event.action == "read_pii" && event.outcome == "ok");
    assert_eq!(looks.map(|event| event.count).sum::<i32>(), i32::try_from(opened).unwrap() + 20);
}

/// While the trail cannot be written, one caller queues more than may wait, and another asks for one user.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_fills_the_trail_is_refused_and_others_do_not_wait_for_it() {
    let configure = |config: &mut oubliette::config::Config| {
        with_tokens(config);
        config.keys.cache = oubliette::config::Config::default().keys.cache;
        config.http.request_timeout = Duration::from_mins(2);
        config.audit.reads = AuditReads::Required;
    };
    let app = Arc::new(TestApp::start_with(TestStack::postgres(), configure).await);
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(app.add(&Person::new()).await);
    }
    let [greedy, modest] = [app.token("users:read", None).await, app.token("users:read", None).await];
    let page = "{ users(first: 100) { nodes { emailMasked } } }";
    let (_, answer) = app.ask(Some(&greedy), page, json!({})).await;
    assert_eq!(answer.get("errors"), None);
    let events = audit_event::Entity::find().order_by_asc(audit_event::Column::Sequence);
    let before = events.clone().all(&app.db).await.unwrap();
    let flooder = before.last().unwrap().actor.clone();

    let head = app.db.begin().await.unwrap();
    head.execute_unprepared("SELECT * FROM audit_head FOR UPDATE").await.unwrap();
    // As many looks as would take this caller minutes to make.
    let mut flood = JoinSet::new();
    let mut ended = Vec::new();
    // 16,384 fit; what comes later is told at once.
    for (size, requests, too_many) in [(100, 200, 37), (1, 100, 16)] {
        for _ in 0..requests {
            let looks =
                vec![NewEvent::new(&Origin::new(&flooder), Action::ReadPii).about(ids[0].into()); size];
            let trail = app.trail.clone();
            flood.spawn(async move { trail.record_durably(&looks).await });
        }
        for _ in 0..too_many {
            ended.push(flood.join_next().await.unwrap().unwrap());
        }
    }
    assert!(ended.iter().all(|ended| matches!(ended, Err(AuditError::Crowded))), "{ended:?}");
    let (status, answer) = app.ask(Some(&greedy), page, json!({})).await;
    assert_eq!((status, code(&answer)), (StatusCode::TOO_MANY_REQUESTS, Some("RATE_LIMITED")), "{answer}");
    let query = "query($id: ID!) { user(id: $id) { emailMasked } }";
    let asking = (0..20).map(|n| app.ask(Some(&modest), query, json!({ "id": ids[n] })));
    let release = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        head.commit().await.unwrap();
    };
    let (answers, ()) = tokio::join!(join_all(asking), release);
    for (status, answer) in answers {
        assert_eq!((status, answer.get("errors")), (StatusCode::OK, None), "{answer}");
    }
    ended.extend(flood.join_all().await);
    let served = ended.iter().filter(|ended| ended.is_ok()).count();
    assert_eq!(served, 163 + 84);

    // Some were being written when the trail was held; from then on, both had their turns.
    let all = events.all(&app.db).await.unwrap();
    let before = before.len();
    let last = all[before..].iter().rposition(|event| event.actor != flooder).expect("they were recorded");
    assert!(last < 3000, "the last of 20 is number {last} of {}", all.len() - before);
}
