//! Servers as processes: killed, and stopped.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{events, fault};
use crate::harness::{Server, Site, TestStack, is_long, on_both_databases, populate};

on_both_databases!(
    a_server_that_is_killed_has_answered_nothing_without_its_event,
    a_server_that_is_stopped_writes_what_waits,
    a_server_that_is_stopped_tells_how_much_it_did_not_read,
);

const READERS: usize = 8;

/// Reads a user's e-mail address within a request of this name; whether it was answered.
async fn read(server: &Server, user: Uuid, request: &str) -> bool {
    let body = json!({ "query": "query($id: ID!) { user(id: $id) { email } }", "variables": { "id": user } });
    let request = server.client().post(server.url("/graphql")).header("x-request-id", request).json(&body);
    let answer: reqwest::Result<Value> = async { request.send().await?.json().await }.await;
    answer.is_ok_and(|answer| answer["data"]["user"]["email"].is_string())
}

async fn a_server_that_is_killed_has_answered_nothing_without_its_event(stack: TestStack) {
    const KILLS: usize = 10;
    let (site, backend) = Site::on_local_keys(stack).await;
    let people = populate(&site.db, &backend, READERS).await;
    let answered = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..KILLS {
        let server = site.sandbox.start_with(&["--set", "audit.reads=required"]).await;
        let readers = people.iter().map(async |(user, _)| {
            let mut count = 0;
            loop {
                count += 1;
                let request = format!("{round}-{user}-{count}");
                // The first failure is the kill.
                if !read(&server, *user, &request).await {
                    return;
                }
                answered.lock().unwrap().insert(request);
            }
        });
        let kill = async {
            tokio::time::sleep(Duration::from_millis(rand::random_range(100..700))).await;
            server.signal("KILL");
        };
        tokio::join!(join_all(readers), kill);
    }
    let answered = std::mem::take(&mut *answered.lock().unwrap());
    assert!(answered.len() > KILLS * READERS, "only {} reads were answered", answered.len());
    let events = events(&site.db).await;
    let recorded: BTreeSet<_> = events.iter().filter_map(|event| event.request_id.clone()).collect();
    let missing: Vec<_> = answered.difference(&recorded).collect();
    assert!(missing.is_empty(), "{} of {} answers have no event: {missing:?}", missing.len(), answered.len());
    assert_eq!(fault(&site.db).await, None);
}

async fn a_server_that_is_stopped_writes_what_waits(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let people = populate(&site.db, &backend, READERS).await;
    let mut server = site.sandbox.start_with(&["--set", "audit.reads=best-effort"]).await;
    for (user, _) in &people {
        assert!(read(&server, *user, "r-1").await);
    }
    server.signal("TERM");
    assert_eq!(server.exit().await.code(), Some(0));
    let events = events(&site.db).await;
    for (user, _) in &people {
        assert!(events.iter().any(|event| event.subject_id == Some(*user) && event.action == "read_pii"));
    }
    assert_eq!(fault(&site.db).await, None);
}

async fn a_server_that_is_stopped_tells_how_much_it_did_not_read(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let people = populate(&site.db, &backend, READERS).await;
    let limits =
        ["--set", "limits.looks_per_second_per_token=1", "--set", "limits.refusals_per_minute_per_token=2"];
    let mut server = site.sandbox.start_with(&limits).await;
    // Two at once may be opened; and two refusals are recorded.
    for (user, _) in &people {
        read(&server, *user, "r-1").await;
    }
    let unread = 50;
    for _ in 0..unread {
        assert!(!read(&server, people[0].0, "r-2").await);
    }
    if is_long() {
        // Once the minute is over, nobody needs to come again, or to stop it.
        tokio::time::sleep(Duration::from_secs(63)).await;
        assert!(events(&site.db).await.iter().any(|event| event.action == "requests_refused"));
    }
    server.signal("TERM");
    assert_eq!(server.exit().await.code(), Some(0));
    let events = events(&site.db).await;
    let of = |action: &str| {
        events.iter().filter(|event| event.action == action && event.outcome == "denied").collect::<Vec<_>>()
    };
    assert_eq!(of("read_pii").len(), 2, "{events:?}");
    let [told] = of("requests_refused")[..] else { panic!("{events:?}") };
    assert!((unread..unread + 5).contains(&told.count), "{told:?}");
    assert_eq!(told.actor, "anonymous");
    assert_eq!(fault(&site.db).await, None);
}
