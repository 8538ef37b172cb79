//! The clinic over HTTP, and what it leaves in its folder.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use clinic::{Clinic, router};
use oubliette_keys::{local::KeyFileEditor, subjects::unregistered};
use sea_orm::{ConnectionTrait, prelude::Uuid};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

struct Server {
    folder: TempDir,
    clinic: Clinic,
    url: String,
}

impl Server {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let clinic = Clinic::open(folder.path()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        let router = router(clinic.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { folder, clinic, url }
    }

    /// The answer's data; its errors, if it has any.
    async fn ask(&self, query: String) -> Value {
        let request = reqwest::Client::new().post(&self.url).json(&json!({ "query": query }));
        let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
        let what = if answer["errors"].is_null() { "data" } else { "errors" };
        answer[what].take()
    }

    async fn admit(&self, name: &str) -> String {
        let admitted = self.ask(format!(r#"mutation {{ admit(ward: "West", name: "{name}") }}"#)).await;
        admitted["admit"].as_str().unwrap().to_owned()
    }

    async fn add_visit(&self, id: &str, note: &str) -> Value {
        self.ask(format!(r#"mutation {{ addVisit(patient: "{id}", note: "{note}") }}"#)).await
    }

    async fn patient(&self, id: &str) -> Value {
        self.ask(format!(r#"{{ patient(id: "{id}") {{ ward name visits }} }}"#)).await["patient"].take()
    }

    /// Whether any file of the database has these bytes in it.
    fn is_in_the_files(&self, bytes: &[u8]) -> bool {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path());
        let mut found = files.filter(|file| file.to_str().unwrap().contains("clinic.db"));
        found.any(|file| fs::read(file).unwrap().windows(bytes.len()).any(|window| window == bytes))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sealed_is_read_also_after_a_rotation() {
    let server = Server::start().await;
    let id = server.admit("Ada Lovelace").await;
    server.add_visit(&id, "a cough").await;
    let expected = json!({ "ward": "West", "name": "Ada Lovelace", "visits": ["a cough"] });
    assert_eq!(server.patient(&id).await, expected);
    for text in ["Ada Lovelace", "a cough"] {
        assert!(!server.is_in_the_files(text.as_bytes()), "{text}");
    }
    assert!(server.is_in_the_files(b"West"));

    assert_eq!(server.ask("mutation { rotate }".to_owned()).await, json!({ "rotate": 1 }));
    assert_eq!(server.patient(&id).await, expected);
    server.add_visit(&id, "no cough").await;
    assert_eq!(server.patient(&id).await["visits"], json!(["a cough", "no cough"]));
    let refused = server.ask(r#"mutation { admit(ward: "West", name: " ") }"#.to_owned()).await;
    assert_eq!(refused[0]["message"], "name is empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_and_reading_go_on_during_rotations() {
    let server = Server::start().await;
    let id = server.admit("Ada Lovelace").await;
    let notes: Vec<_> = (0..20).map(|number| format!("visit {number}")).collect();
    let rotating = AtomicBool::new(true);
    let rotations = async {
        for _ in 0..20 {
            assert_eq!(server.ask("mutation { rotate }".to_owned()).await, json!({ "rotate": 1 }));
        }
        rotating.store(false, Relaxed);
    };
    let writing = async {
        for note in &notes {
            assert_eq!(server.add_visit(&id, note).await, json!({ "addVisit": true }));
        }
    };
    let reading = || async {
        while rotating.load(Relaxed) {
            assert_eq!(server.patient(&id).await["name"], "Ada Lovelace");
        }
    };
    tokio::join!(rotations, writing, reading(), reading(), reading());
    assert_eq!(server.patient(&id).await["visits"], json!(notes));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_who_was_forgotten() {
    let server = Server::start().await;
    let (ada, grace) = (server.admit("Ada Lovelace").await, server.admit("Grace Hopper").await);
    for id in [&ada, &grace] {
        server.add_visit(id, "a cough").await;
    }
    let bytes = |id: &str| id.parse::<Uuid>().unwrap().into_bytes();
    assert!(server.is_in_the_files(&bytes(&ada)));

    let forget = format!(r#"mutation {{ forget(patient: "{ada}") }}"#);
    assert_eq!(server.ask(forget.clone()).await, json!({ "forget": true }));
    assert_eq!(server.ask(forget).await, json!({ "forget": false }));
    assert_eq!(server.patient(&ada).await, Value::Null);
    assert_eq!(server.add_visit(&ada, "a cough").await, json!({ "addVisit": false }));
    // Neither in the main file nor in the log: rows of patients, of visits and of data keys all have the id.
    assert!(!server.is_in_the_files(&bytes(&ada)));
    assert!(server.is_in_the_files(&bytes(&grace)));
    assert_eq!(server.patient(&grace).await["visits"], json!(["a cough"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_admitted_under_a_wrapping_key_that_is_retired() {
    let server = Server::start().await;
    let ada = server.admit("Ada Lovelace").await;
    let db = server.clinic.keyring().db();
    db.execute_unprepared("UPDATE wrapping_keys SET state = 'retired'").await.unwrap();
    let refused = server.ask(r#"mutation { admit(ward: "East", name: "Grace Hopper") }"#.to_owned()).await;
    assert_eq!(refused[0]["message"], "internal error");
    assert!(!server.is_in_the_files(b"East"));
    assert_eq!(server.patient(&ada).await["name"], "Ada Lovelace");

    let mut keys = KeyFileEditor::open(&server.folder.path().join("keys.toml")).unwrap();
    let next = keys.add(None).unwrap();
    keys.promote(&next).unwrap();
    keys.save().unwrap();
    let grace = server.admit("Grace Hopper").await;
    assert_eq!(server.patient(&grace).await["name"], "Grace Hopper");
}

#[tokio::test]
async fn every_sealed_column_is_registered() {
    let server = Server::start().await;
    let (db, registry) = (server.clinic.keyring().db(), server.clinic.registry());
    assert_eq!(unregistered(db, registry, &[]).await.unwrap(), Vec::<String>::new());
}

#[test]
fn the_program_is_short() {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let lines = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap().lines().count());
    assert!((1..400).contains(&lines.sum::<usize>()));
}
