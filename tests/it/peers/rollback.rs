//! The erasure ledger goes back below servers: nothing personal is answered until an operator has adopted it.

use std::time::{Duration, Instant};

use chrono::Utc;
use oubliette::{
    ledger::rollbacks,
    users::{LedgerWatcher, UserError},
};
use reqwest::StatusCode;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::{DELAYS, ENTRIES, Fleet, PATIENCE, eventually, forget, metric};
use crate::harness::{EMAIL, PHONE, Server, TestStack, on_both_databases};

on_both_databases!(a_ledger_that_goes_back_is_not_trusted_until_it_is_adopted);

const ROLLED_BACK: &str = "oubliette_peer_ledger_rolled_back";

async fn a_ledger_that_goes_back_is_not_trusted_until_it_is_adopted(stack: TestStack) {
    let fleet = Fleet::start(stack, 2, &[]).await;
    let (known, other) = (fleet.user_known_to_all().await, fleet.user_known_to_all().await);
    for times in [1, 2] {
        let forgotten = fleet.user_known_to_all().await;
        let erased_at = forget(&fleet.servers[0], &forgotten).await;
        fleet.evicted(times, erased_at).await;
    }
    // The server that forgot evicted at once, and may not have read its own entry yet.
    for server in &fleet.servers {
        eventually(server, DELAYS, |read| read == 2).await;
        assert_eq!(metric(server, ROLLED_BACK).await, 0);
    }

    let go_back_to_the_first = async || {
        for sql in [
            "UPDATE erasure_head SET sequence = 1, digest = (SELECT digest FROM erasures WHERE sequence = 1)",
            "DELETE FROM erasures WHERE sequence > 1",
        ] {
            fleet.db.execute_unprepared(sql).await.unwrap();
        }
    };
    // As a backup has it that was made before the second one.
    go_back_to_the_first().await;
    let rows_of = async || rollbacks::waiting_or(&fleet.db, &[]).await.unwrap();
    for server in &fleet.servers {
        eventually(server, ROLLED_BACK, |rolled_back| rolled_back == 1).await;
        eventually(server, ENTRIES, |entries| entries == 0).await;
        assert!(
            server.log().contains("went back, as after a failover or a restored backup: entry 2 is gone")
        );
        answers_nothing_personal(server, &known).await;
    }
    // Each of them has noticed for itself, or has read of the other.
    let noticed = rows_of().await;
    assert!(!noticed.is_empty());
    // A row that is lost, as the database goes back once more, is stored again.
    fleet.db.execute_unprepared("DELETE FROM ledger_rollbacks").await.unwrap();
    wait(async || !rows_of().await.is_empty()).await;
    // A server that comes later.
    let late = fleet.sandbox.start().await;
    answers_nothing_personal(&late, &known).await;
    assert_eq!(metric(&late, ROLLED_BACK).await, 1);
    assert!(late.log().contains("entry 2 is gone"), "{}", late.log());

    // Who is forgotten meanwhile has the second entry.
    let erased_at = forget(&late, &other).await;
    assert!(erased_at <= Utc::now());
    assert!(fleet.sandbox.admin(&["ledger", "status"]).status == Some(1));
    let adopt = ["ledger", "adopt", "--actor", "olga"];
    assert!(fleet.sandbox.admin(&adopt).stderr.contains("Pass --yes"));
    wait(async || {
        // Rows come as servers notice that theirs is lost.
        fleet.sandbox.admin(&[&adopt[..], &["--yes"]].concat());
        let trusts = async |server: &Server| metric(server, ROLLED_BACK).await == 0;
        trusts(&fleet.servers[0]).await && trusts(&fleet.servers[1]).await && trusts(&late).await
    })
    .await;
    assert_eq!(fleet.sandbox.admin_ok(&adopt), "nothing waits to be adopted\n");
    let status = fleet.sandbox.admin_ok(&["ledger", "status"]);
    assert!(status.starts_with("sequence   2\n"), "{status}");
    let events = fleet.sandbox.admin_ok(&["audit", "export", "--json"]);
    let event = events.lines().find(|line| line.contains("ledger_adopt")).unwrap();
    assert!(event.contains("admin:olga"), "{event}");
    for server in [&fleet.servers[0], &fleet.servers[1], &late] {
        assert_eq!(server.read(&known).await.get("errors"), None);
        assert_eq!(server.read(&other).await["errors"][0]["extensions"]["code"], "FORGOTTEN");
    }

    // What was adopted says nothing about a later one.
    go_back_to_the_first().await;
    for server in [&fleet.servers[0], &fleet.servers[1], &late] {
        eventually(server, ROLLED_BACK, |rolled_back| rolled_back == 1).await;
        answers_nothing_personal(server, &known).await;
    }
}

/// All ways to personal values are closed, and those that are needed to forget are open.
async fn answers_nothing_personal(server: &Server, id: &str) {
    let ready = server.client().get(server.url("/readyz?exclude=keys")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let answer: Value = ready.json().await.unwrap();
    assert_eq!(answer["checks"], json!({ "database": "ok", "ledger": "failed" }));
    for query in [
        "query($id: ID!) { user(id: $id) { id } }",
        "query($id: ID!) { user(id: $id) { email } }",
        "query($id: ID!) { erasure(userId: $id) { sequence } }",
        "{ userByUsername(username: \"nobody\") { id } }",
        "{ users(first: 1) { edges { node { id } } } }",
        "mutation { createUser(input: { username: \"somebody\" }) { id } }",
        "mutation($id: ID!) { updateUser(id: $id, input: { phone: null }) { id } }",
    ] {
        let answer = server.try_graphql(query, json!({ "id": id })).await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{query}: {answer}");
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("the erasure ledger is not the newest"), "{message}");
    }
    let query = "mutation($id: ID!) { forgetUser(id: $id) { sequence } }";
    let nobody = json!({ "id": uuid::Uuid::now_v7() });
    let answer = server.try_graphql(query, nobody).await.unwrap();
    // Nobody can say that there never was one.
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{answer}");
    let answer =
        server.try_graphql("{ auditEvents { edges { node { action } } } }", json!({})).await.unwrap();
    assert_eq!(answer.get("errors"), None, "{answer}");
}

/// A user who was read before, as a request in flight has them, does not open afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_was_read_before_does_not_open() {
    let fleet = Fleet::start(TestStack::sqlite(), 1, &[]).await;
    let id: uuid::Uuid = fleet.user_known_to_all().await.parse().unwrap();
    let (users, _) = fleet.users();
    let user = users.find(id.into()).await.unwrap().unwrap();
    assert!(user.open(&EMAIL).await.unwrap().is_some());
    assert!(users.trust_ledger(LedgerWatcher::Peers, false));
    assert!(matches!(user.open(&EMAIL).await, Err(UserError::LedgerWentBack)));
    assert!(matches!(user.open(&PHONE).await, Err(UserError::LedgerWentBack)));
}

async fn wait(is_so: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
