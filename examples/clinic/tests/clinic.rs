//! The clinic over HTTP, and what it leaves in its folder.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
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
        Self::start_on(TempDir::new().unwrap()).await
    }

    async fn start_on(folder: TempDir) -> Self {
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
    let (written, read) = (AtomicU64::new(0), AtomicU64::new(0));
    let rotations = async {
        for _ in 0..20 {
            let before = (written.load(Relaxed), read.load(Relaxed));
            assert_eq!(server.ask("mutation { rotate }".to_owned()).await, json!({ "rotate": 1 }));
            // Rotations that never pause would outrun a reader on a slow machine.
            while read.load(Relaxed) == before.1
                || (written.load(Relaxed) == before.0 && before.0 < notes.len() as u64)
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        rotating.store(false, Relaxed);
    };
    let writing = async {
        for note in &notes {
            assert_eq!(server.add_visit(&id, note).await, json!({ "addVisit": true }));
            written.fetch_add(1, Relaxed);
        }
    };
    let reading = || async {
        while rotating.load(Relaxed) {
            assert_eq!(server.patient(&id).await["name"], "Ada Lovelace");
            read.fetch_add(1, Relaxed);
        }
    };
    tokio::join!(rotations, writing, reading(), reading(), reading());
    assert_eq!(server.patient(&id).await["visits"], json!(notes));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_forgotten_patient() {
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
async fn what_cannot_be_rotated_is_an_error_and_stays_as_it_was() {
    let server = Server::start().await;
    let (ada, grace) = (server.admit("Ada Lovelace").await, server.admit("Grace Hopper").await);
    server.add_visit(&ada, "a cough").await;
    assert_eq!(server.ask("{ verify }".to_owned()).await, json!({ "verify": [] }));
    let db = server.clinic.keyring.db();
    db.execute_unprepared("UPDATE visits SET note = zeroblob(50)").await.unwrap();

    let refused = server.ask("mutation { rotate }".to_owned()).await;
    assert_eq!(refused[0]["message"], "internal error");
    assert_eq!(
        server.ask("{ verify }".to_owned()).await,
        json!({ "verify": [format!("visits.note of {ada}: unknown format version 0")] })
    );
    // What was readable is.
    let name = |id: String| format!(r#"{{ patient(id: "{id}") {{ name }} }}"#);
    assert_eq!(server.ask(name(ada)).await, json!({ "patient": { "name": "Ada Lovelace" } }));
    assert_eq!(server.ask(name(grace)).await, json!({ "patient": { "name": "Grace Hopper" } }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapping_key_can_be_changed_while_the_clinic_runs() {
    let server = Server::start().await;
    let ada = server.admit("Ada Lovelace").await;
    let retire = "UPDATE wrapping_keys SET state = 'retired'";
    server.clinic.keyring.db().execute_unprepared(retire).await.unwrap();
    let refused = server.ask(r#"mutation { admit(ward: "East", name: "Grace Hopper") }"#.to_owned()).await;
    assert_eq!(refused[0]["message"], "internal error");
    assert!(!server.is_in_the_files(b"East"));
    assert_eq!(server.patient(&ada).await["name"], "Ada Lovelace");

    // The clinic has not looked at the file since: the next admission has it look.
    let mut keys = KeyFileEditor::open(&server.folder.path().join("keys.toml")).unwrap();
    let next = keys.add(None).unwrap();
    keys.promote(&next).unwrap();
    keys.save().unwrap();
    let grace = server.admit("Grace Hopper").await;
    assert_eq!(server.patient(&grace).await["name"], "Grace Hopper");
    assert_eq!(server.patient(&ada).await["name"], "Ada Lovelace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_opened_again_whatever_its_name() {
    let folder = tempfile::Builder::new().prefix("a?b#c%41 ").tempdir().unwrap();
    let server = Server::start_on(folder).await;
    let id = server.admit("Ada Lovelace").await;
    let Server { folder, clinic, .. } = server;
    clinic.keyring.db().clone().close().await.unwrap();
    assert!(folder.path().join("clinic.db").is_file());

    let server = Server::start_on(folder).await;
    assert_eq!(server.patient(&id).await["name"], "Ada Lovelace");
}

#[test]
fn the_program_serves_until_it_is_asked_to_end() {
    let folder = TempDir::new().unwrap();
    let clinic = || Command::new(env!("CARGO_BIN_EXE_clinic"));
    let mut running = clinic().arg(folder.path()).arg("0").stdout(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(running.stdout.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("serving http://127.0.0.1:")));
    let kill = Command::new("kill").args(["-s", "TERM", &running.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert!(running.wait().unwrap().success());

    fs::write(folder.path().join("keys.toml"), "this is no key file").unwrap();
    let refused = clinic().arg(folder.path()).arg("0").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stdout).unwrap().contains("keys.toml"));
}

#[tokio::test]
async fn every_sealed_column_is_registered() {
    let server = Server::start().await;
    let (db, registry) = (server.clinic.keyring.db(), &server.clinic.registry);
    assert_eq!(unregistered(db, registry, &[]).await.unwrap(), Vec::<String>::new());
}

#[test]
fn the_program_is_short() {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let lines = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap().lines().count());
    assert!((1..400).contains(&lines.sum::<usize>()));
}
