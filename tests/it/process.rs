//! The server as a process: how it starts, refuses to start, stops, and is killed.

mod broken_disk;
mod disabled_key;
mod key_file;
mod key_file_followed;
mod memory;
mod migrating;
mod old_data_keys;
mod schema;
mod secret_files;
mod stop;
mod switch;
mod url_secrets;

use std::{collections::HashMap, os::unix::fs::MetadataExt, sync::Mutex, time::Duration};

use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Person, Sandbox, TestStack};

#[tokio::test]
async fn the_first_start_makes_everything_it_needs() {
    let sandbox = Sandbox::new();
    let server = sandbox.start().await;
    assert!(sandbox.path("data/oubliette.db").is_file());
    let keys = std::fs::metadata(sandbox.path("data/keys.toml")).unwrap();
    assert_eq!(keys.mode() & 0o777, 0o600);
    let files = std::fs::read_dir(sandbox.path("data")).unwrap().count();
    assert_eq!(
        files, 6,
        "the database, its log and shared memory, the keys, the ledger and its key: no draft is left"
    );
    let key = std::fs::metadata(sandbox.path("data/ledger-key")).unwrap();
    assert_eq!(key.mode() & 0o777, 0o600);
    let ledger = std::fs::metadata(sandbox.path("data/ledger")).unwrap();
    assert_eq!(ledger.mode() & 0o777, 0o700);

    let log = server.log();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let warnings: Vec<_> = events.filter(|event| event["level"] == "WARN").collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0]["file"], "data/keys.toml");
    assert!(warnings[0]["message"].as_str().unwrap().contains("for development"), "{warnings:?}");
}

#[tokio::test]
async fn a_restart_reads_what_was_written_before() {
    let sandbox = Sandbox::new();
    let person = Person::new();
    let server = sandbox.start().await;
    let id = server.create(&person).await;
    drop(server);

    let keys = sandbox.read("data/keys.toml");
    let server = sandbox.start().await;
    let expected =
        json!({ "id": id, "username": person.username, "email": person.email, "phone": person.phone });
    assert_eq!(server.read(&id).await, json!({ "data": { "user": expected } }));
    assert_eq!(sandbox.read("data/keys.toml"), keys, "the key file is made once");
    assert!(!server.log().contains("made a local key file"));
}

#[tokio::test]
async fn a_killed_server_keeps_all_that_it_answered() {
    let sandbox = Sandbox::new();
    let mut server = sandbox.start().await;
    let answered = Mutex::new(HashMap::new());
    let create = async || {
        loop {
            let person = Person::new();
            let Ok(id) = server.try_create(&person).await else { return };
            answered.lock().unwrap().insert(id, person);
        }
    };
    let kill = async {
        while answered.lock().unwrap().len() < 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.signal("KILL");
    };
    tokio::join!(join_all((0..8).map(|_| create())), kill);
    assert_eq!(server.exit().await.code(), None, "killed");

    let server = sandbox.start().await;
    for (id, person) in answered.into_inner().unwrap() {
        let user =
            json!({ "id": id, "username": person.username, "email": person.email, "phone": person.phone });
        assert_eq!(server.read(&id).await, json!({ "data": { "user": user } }));
    }
    // What was not answered is there whole, or not at all.
    let query = "query($after: String) {
        users(first: 100, after: $after) { nodes { email phone } pageInfo { endCursor hasNextPage } }
    }";
    let mut page = json!({ "endCursor": null, "hasNextPage": true });
    while page["hasNextPage"] == true {
        let answer = server.try_graphql(query, json!({ "after": page["endCursor"] })).await.unwrap();
        assert_eq!(answer.get("errors"), None, "{answer}");
        let users = answer["data"]["users"]["nodes"].as_array().unwrap();
        assert!(users.iter().all(|user| user["email"].is_string() && user["phone"].is_string()));
        page = answer["data"]["users"]["pageInfo"].clone();
    }
}

#[tokio::test]
async fn the_log_has_the_request_id() {
    let server = Sandbox::new().start().await;
    let request = server.client().post(server.url("/graphql")).header("x-request-id", "find-me-42");
    let body = json!({ "query": "mutation { forgetUser(id: \"nonsense\") { sequence } }" });
    request.json(&body).send().await.unwrap();
    let log = server.log();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_request: Vec<_> = events.filter(|event| event["span"]["id"] == "find-me-42").collect();
    assert!(of_request.iter().any(|event| event["message"] == "answered" && event["status"] == 200), "{log}");
}

#[tokio::test]
async fn the_log_does_not_have_the_database_password() {
    let url = TestStack::postgres().url();
    let password = url::Url::parse(&url).unwrap().password().unwrap().to_owned();

    let sandbox = Sandbox::new().with_env("OUBLIETTE_DATABASE__URL", &url);
    let server = sandbox.start().await;
    let person = Person::new();
    let id = server.create(&person).await;
    assert_eq!(server.read(&id).await["data"]["user"]["email"], person.email);
    assert!(!server.log().contains(&password));

    for broken in [
        url.replace("/test_", "/nothing_"),
        url.replace("@127.0.0.1:", "@127.0.0.1:port"),
        url.replace("s://", "://"),
    ] {
        let said = Sandbox::new().with_env("OUBLIETTE_DATABASE__URL", &broken).refusal().await;
        assert!(said.contains("error: cannot connect to the database"), "{said}");
        assert!(!said.contains(&password), "{said}");
    }
}
