//! Real poolers between servers and PostgreSQL.

use futures::{StreamExt, stream};
use oubliette::keys::local::KeyFile;
use serde_json::json;

use crate::harness::{Person, PgBouncer, Sandbox, Server, TestStack, local_backend, log_everything, soon};

const SENTENCE: &str = "mixes up prepared statements: set pool_mode = session";

fn sandbox(url: &str) -> Sandbox {
    log_everything();
    let profile = format!(
        "[auth]\nmode = \"off\"\n[http]\nrequest_timeout = \"2m\"\n[database]\nurl = \"{url}\"\n\
         connect_timeout = \"30s\"\nmigrate_on_start = true\n[keys]\nactive = \"local\"\n{}",
        local_backend("local")
    );
    let sandbox = Sandbox::new().with_profile("pooled", &profile);
    KeyFile::create(&sandbox.path("data/local.toml")).unwrap();
    sandbox
}

async fn ask(server: &Server, query: &str, variables: serde_json::Value) -> serde_json::Value {
    let answer = server.try_graphql(query, variables).await.unwrap();
    assert_eq!(answer.get("errors"), None, "{answer}");
    answer["data"].clone()
}

/// Whatever Oubliette does with its database.
async fn all_of_it_works(sandbox: &Sandbox, hears: bool) {
    assert!(sandbox.admin_ok(&["migrate"]).starts_with("migrated "));
    let servers = [sandbox.start().await, sandbox.start().await];
    let mut people = Vec::new();
    for _ in 0..8 {
        let person = Person::new();
        people.push((servers[0].create(&person).await, person));
    }
    // More at the same time than the pooler has connections.
    let update = "mutation($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { id } }";
    stream::iter(0..200)
        .for_each_concurrent(24, async |n: usize| {
            let (id, person) = &people[n / 2 % people.len()];
            let server = &servers[n % 2];
            assert_eq!(server.read(id).await["data"]["user"]["email"], person.email);
            ask(server, update, json!({ "id": id, "input": { "phone": Person::new().phone } })).await;
        })
        .await;

    let rotated = sandbox.admin_ok(&["keys", "rotate", "--all", "--yes", "--json"]);
    assert!(rotated.contains("\"done\":8"), "{rotated}");
    let (doomed, _) = people.remove(0);
    for server in &servers {
        server.read(&doomed).await;
    }
    let says = if hears {
        "are heard"
    } else {
        "are not heard; the ledger is looked at every peers.poll_interval: the database is behind a pooler in transaction mode"
    };
    for server in &servers {
        soon("the log says whether it hears", async || server.log().contains(says)).await;
        let listening = format!("oubliette_peer_listening {}", u8::from(hears));
        assert!(server.metrics().await.contains(&listening));
    }
    ask(&servers[0], "mutation($id: ID!) { forgetUser(id: $id) { sequence } }", json!({ "id": doomed }))
        .await;
    for server in &servers {
        let evicted = "oubliette_peer_eviction_delay_seconds_count 1";
        soon("all hear of a forgetting", async || server.metrics().await.contains(evicted)).await;
        let answer = server.read(&doomed).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "FORGOTTEN", "{answer}");
    }

    sandbox.admin_ok(&["keys", "local", "add", "--backend", "local", "--name", "next"]);
    sandbox.admin_ok(&["keys", "local", "promote", "--backend", "local", "next"]);
    let moved = sandbox.admin_ok(&["keys", "rewrap", "--yes", "--json"]);
    assert!(moved.contains("\"done\":7"), "{moved}");
    sandbox.admin_ok(&["keys", "verify"]);
    for server in &servers {
        for (id, person) in &people {
            assert_eq!(server.read(id).await["data"]["user"]["email"], person.email);
        }
        let log = server.log();
        let complaint =
            log.lines().find(|line| line.contains("prepared statement") || line.contains("\"ERROR\""));
        assert_eq!(complaint, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_pgbouncer_in_session_mode_everything_works() {
    let (stack, pooler) = (TestStack::postgres(), PgBouncer::launch("session"));
    all_of_it_works(
        &sandbox(&pooler.before(&stack.url())).with_env("OUBLIETTE_DATABASE__MAX_CONNECTIONS", "2"),
        true,
    )
    .await;
}

/// A release that mixes up the statements of its clients (before 1.21) is refused, also by the first that comes, for whom it would work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_pgbouncer_in_transaction_mode_everything_works_or_nothing_starts() {
    let (stack, pooler) = (TestStack::postgres(), PgBouncer::launch("transaction"));
    let sandbox = sandbox(&pooler.before(&stack.url()));
    if pooler.tracks_statements() {
        return all_of_it_works(&sandbox, false).await;
    }
    for _ in 0..2 {
        let said = sandbox.refusal().await;
        assert!(said.contains(SENTENCE), "{said}");
        let said = sandbox.admin_error(&["migrate"]);
        assert!(said.contains(SENTENCE), "{said}");
    }
}
