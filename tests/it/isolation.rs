//! Databases whose default isolation level is stricter than the one that changes are made at.

use std::sync::Mutex;

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::harness::{Person, Server, Site, TestStack, populate, postgres};

/// Servers and commands that change the same users at the same time. None of it may fail.
async fn changes_meet(level: &str) {
    let stack = TestStack::postgres();
    let TestStack::Postgres { name, .. } = &stack else { panic!("it is PostgreSQL") };
    let set = format!("ALTER DATABASE \"{name}\" SET default_transaction_isolation = '{level}'");
    postgres::server().psql("postgres", &set);
    let name = name.clone();
    assert_eq!(postgres::server().psql(&name, "SHOW default_transaction_isolation"), level);

    let (mut site, backend) = Site::on_local_keys(stack).await;
    let people = populate(&site.db, &backend, 12).await;
    let (staying, leaving) = people.split_at(4);
    // Many wait for each other, on a machine that may be busy: that is not what this is about.
    site.sandbox = site
        .sandbox
        .with_env("OUBLIETTE_HTTP__REQUEST_TIMEOUT", "2m")
        .with_env("OUBLIETTE_DATABASE__CONNECT_TIMEOUT", "1m");
    let servers = [site.sandbox.start().await, site.sandbox.start().await];
    let refused = Mutex::new(Vec::new());
    let ask = async |server: &Server, query: &str, variables: Value| {
        let answer = server.try_graphql(query, variables).await.unwrap();
        if answer.get("errors").is_some() {
            refused.lock().unwrap().push(answer.to_string());
        }
    };
    let update = "mutation($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { id } }";
    let updates = stream::iter(0..180)
        .map(async |n| {
            let input = json!({ "phone": Person::new().phone });
            ask(&servers[n % 2], update, json!({ "id": staying[n / 2 % 4].0, "input": input })).await;
        })
        .buffer_unordered(24)
        .collect::<()>();
    let create = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    let creates = stream::iter(0..40)
        .map(async |n| {
            let input = json!({ "username": Person::new().username });
            ask(&servers[n % 2], create, json!({ "input": input })).await;
        })
        .buffer_unordered(8)
        .collect::<()>();
    // Each look at a personal value is an event of the audit trail.
    let looks = stream::iter(0..80)
        .map(async |n| {
            let id = staying[n % 4].0;
            ask(&servers[n % 2], "query($id: ID!) { user(id: $id) { email } }", json!({ "id": id })).await;
        })
        .buffer_unordered(8)
        .collect::<()>();
    let forget = "mutation($id: ID!) { forgetUser(id: $id) { sequence } }";
    let forgettings = stream::iter(0..2 * leaving.len())
        .map(async |n| ask(&servers[n % 2], forget, json!({ "id": leaving[n / 2].0 })).await)
        .buffer_unordered(4)
        .collect::<()>();
    let rotate = ["keys", "rotate", "--all", "--yes", "--json"];
    let rotations = async { tokio::join!(site.done_beside(&rotate), site.done_beside(&rotate)) };
    tokio::join!(updates, creates, looks, forgettings, rotations);

    let refused = refused.into_inner().unwrap();
    assert!(refused.is_empty(), "{} of 316 failed: {}", refused.len(), refused[0]);
    for server in &servers {
        let log = server.log();
        let complaint = log.lines().find(|line| line.contains("could not serialize access"));
        assert_eq!(complaint, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_database_of_repeatable_reads_changes_that_meet_succeed() {
    changes_meet("repeatable read").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_serializable_database_changes_that_meet_succeed() {
    changes_meet("serializable").await;
}
