//! SQLite on a disk that is full, or fails, for a while: what is acknowledged afterwards is stored.

use std::{process::Command, time::Duration};

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Person, Sandbox, Server, small_disk};

/// Requests at the same time: as many as the larger pool has connections.
const AT_ONCE: usize = 16;
/// Largest file while the disk fails, in bytes: less than the database and its write-ahead log have by then, so that nothing can
/// be added to them; more than the server logs.
const LARGEST_FILE: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_after_a_full_disk_is_stored() {
    for connections in [1, 16] {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("data")).unwrap();
        let (sandbox, disk) = small_disk(sandbox, "data", "16M");
        let fill = || disk.run("! head -c 64M /dev/zero >data/filler");
        let free = || disk.run("rm data/filler");
        survives(&sandbox, connections, |_| fill(), |_| free()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_after_an_io_error_is_stored() {
    for connections in [1, 16] {
        // A write beyond the limit is an error instead of a signal that ends the process.
        let sandbox = Sandbox::new().through(&["sh", "-c", "trap '' XFSZ && exec \"$@\"", "sh"]);
        let limit = |server: &Server, soft: &str| {
            let arguments = ["--pid", &server.pid().to_string(), &format!("--fsize={soft}:")];
            assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
        };
        let fail = |server: &Server| {
            let log = std::fs::metadata(sandbox.path("data/oubliette.db-wal")).unwrap().len();
            assert!(log > LARGEST_FILE, "{log}");
            limit(server, &LARGEST_FILE.to_string());
        };
        survives(&sandbox, connections, fail, |server| limit(server, "unlimited")).await;
    }
}

/// Breaks the disk below a server, repairs it, and looks at what is left of all that was acknowledged.
async fn survives(
    sandbox: &Sandbox,
    connections: usize,
    break_it: impl Fn(&Server),
    repair: impl Fn(&Server),
) {
    let pool = format!("database.max_connections={connections}");
    // The log is limited like every other file of the process.
    let settings = ["--set", &pool, "--set", "log.filter=info,oubliette::http=off,oubliette::graphql=off"];
    let server = sandbox.start_with(&settings).await;
    let (first, doomed) = (Person::new(), Person::new());
    let mut known = vec![(server.create(&first).await, first)];
    let doomed_id = server.create(&doomed).await;
    for _ in 0..4 {
        known.extend(creates(&server).await.into_iter().flatten());
    }

    break_it(&server);
    let mut refused = 0;
    for _ in 0..5 {
        let answers = creates(&server).await;
        refused += answers.iter().filter(|answer| answer.is_none()).count();
        known.extend(answers.into_iter().flatten());
    }
    assert!(refused > AT_ONCE, "only {refused} refused: the disk is not broken");
    assert_eq!(readiness(&server).await, StatusCode::SERVICE_UNAVAILABLE);

    repair(&server);
    // Nobody has to do anything; what is known of readiness is old after a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(readiness(&server).await, StatusCode::OK);
    let taken = json!({ "username": known[0].1.username });
    let answer = server.try_graphql(CREATE, json!({ "input": taken })).await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "CONFLICT", "{answer}");
    let answers = creates(&server).await;
    assert!(answers.iter().all(Option::is_some), "the server has not recovered: {}", server.log());
    known.extend(answers.into_iter().flatten());
    let forget = "mutation($id: ID!) { forgetUser(id: $id) { sequence } }";
    let receipt = server.try_graphql(forget, json!({ "id": doomed_id })).await.unwrap();
    assert_eq!(receipt["data"]["forgetUser"]["sequence"], 1, "{receipt}");
    assert!(server.log().contains("rolled back by itself"), "no transaction failed: the test shows nothing");

    drop(server);
    let server = sandbox.start_with(&settings).await;
    for (id, person) in &known {
        assert_eq!(server.read(id).await["data"]["user"]["email"], person.email, "{connections} connections");
    }
    let forgotten = server.read(&doomed_id).await;
    assert_eq!(forgotten["errors"][0]["extensions"]["code"], "FORGOTTEN", "{forgotten}");
}

const CREATE: &str = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";

/// Creates some people at the same time, and gives those that were acknowledged.
async fn creates(server: &Server) -> Vec<Option<(String, Person)>> {
    let create = async |_| {
        let person = Person::new();
        let input = json!({ "username": person.username, "email": person.email, "phone": person.phone });
        let answer = server.try_graphql(CREATE, json!({ "input": input })).await.unwrap();
        if let Value::String(id) = &answer["data"]["createUser"]["id"] {
            return Some((id.clone(), person));
        }
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INTERNAL", "{answer}");
        None
    };
    join_all((0..AT_ONCE).map(create)).await
}

async fn readiness(server: &Server) -> StatusCode {
    server.client().get(server.url("/readyz")).send().await.unwrap().status()
}
