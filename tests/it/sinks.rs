//! The erasure ledger outside the database: with real processes, on both databases.

mod base_backup;
mod commands;
mod faults;
mod histories;
mod publishing;
mod receipts;
mod restore;
mod rotations;
mod s3;
mod signer;
mod standby;
mod tokens;
mod versions;

use std::{fs, path::PathBuf, time::Duration};

use futures::future::join_all;
use oubliette::{database, keys::local::KeyFile};
use oubliette_ledger::{Policy, Receipt, mirror::CHECKPOINT};
use reqwest::StatusCode;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use serde_json::{Value, json};

use crate::harness::{Person, Sandbox, Server, TestStack, local_backend, log_everything, postgres, soon};

/// Servers on a database, with a sink in the folder `sink`.
struct Scene {
    stack: TestStack,
    sandbox: Sandbox,
}

/// A copy of a database that no process has open.
enum Backup {
    Sqlite(Vec<u8>),
    Postgres(String),
}

/// Where an erasure stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    sequence: i64,
    digest: String,
}

impl Scene {
    fn new(stack: TestStack) -> Self {
        Self::with_sinks(stack, "[ledger.sinks.one]\nurl = \"file://sink\"\n")
    }

    fn with_sinks(stack: TestStack, sinks: &str) -> Self {
        log_everything();
        let profile = profile(&stack.url(), sinks);
        let sandbox = Sandbox::new().with_profile("sinks", &profile);
        KeyFile::create(&sandbox.path("data/local.toml")).unwrap();
        Self { stack, sandbox }
    }

    /// So many people, of whom the first is forgotten, and a backup. No server runs.
    async fn backed_up(&self, people: usize) -> (Vec<String>, Backup) {
        let server = self.start().await;
        let ids = create(&server, people).await;
        forget(&server, &ids[0]).await;
        self.published_all(1).await;
        stop(server).await;
        (ids, self.backup())
    }

    async fn start(&self) -> Server {
        self.sandbox.start().await
    }

    /// The folder of the sink.
    fn sink(&self) -> PathBuf {
        self.sandbox.path("sink")
    }

    fn object(&self, path: &str) -> PathBuf {
        self.sink().join(path)
    }

    /// How many entries the sink has, as its checkpoint says.
    fn published(&self) -> u64 {
        let text = fs::read_to_string(self.object(CHECKPOINT)).unwrap_or_default();
        text.lines().nth(1).map_or(0, |size| size.parse().unwrap())
    }

    async fn published_all(&self, entries: u64) {
        soon("everything is published", async || self.published() == entries).await;
    }

    /// For as long as it takes: nothing else may have the database open.
    async fn sql(&self, statements: &[&str]) {
        let db = database::connect(&self.stack.config()).await.unwrap();
        for statement in statements {
            db.execute_unprepared(statement).await.unwrap();
        }
        db.close().await.unwrap();
    }

    async fn rows(&self, sql: &str) -> usize {
        let db: DatabaseConnection = database::connect(&self.stack.config()).await.unwrap();
        let statement = sea_orm::Statement::from_string(db.get_database_backend(), sql.to_owned());
        let rows = db.query_all_raw(statement).await.unwrap().len();
        db.close().await.unwrap();
        rows
    }

    fn backup(&self) -> Backup {
        match &self.stack {
            TestStack::Sqlite { folder } => Backup::Sqlite(fs::read(folder.path().join("test.db")).unwrap()),
            TestStack::Postgres { name, .. } => {
                let copy = format!("backup_{:016x}", rand::random::<u64>());
                postgres::server().psql("postgres", &format!("CREATE DATABASE {copy} TEMPLATE {name}"));
                Backup::Postgres(copy)
            }
        }
    }

    fn restore(&self, backup: &Backup) {
        match (&self.stack, backup) {
            (TestStack::Sqlite { folder }, Backup::Sqlite(bytes)) => {
                for file in ["test.db-wal", "test.db-shm"] {
                    let _ = fs::remove_file(folder.path().join(file));
                }
                fs::write(folder.path().join("test.db"), bytes).unwrap();
            }
            (TestStack::Postgres { name, .. }, Backup::Postgres(copy)) => {
                let server = postgres::server();
                server.psql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
                server.psql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {copy}"));
            }
            _ => panic!("a backup of another database"),
        }
    }

    fn exported(&self) -> String {
        self.sandbox.admin_ok(&["ledger", "export", "--json"])
    }

    fn receipt(&self, id: &str) -> Receipt {
        self.sandbox.admin_ok(&["ledger", "receipt", id]).parse().unwrap()
    }

    fn policy(&self) -> Policy {
        self.sandbox.admin_ok(&["ledger", "policy"]).parse().unwrap()
    }

    fn status(&self) -> (Option<i32>, Value) {
        let finished = self.sandbox.admin(&["ledger", "status", "--json"]);
        (finished.status, serde_json::from_str(&finished.stdout).unwrap())
    }

    fn state(&self) -> String {
        self.status().1["sinks"][0]["state"].as_str().unwrap().to_owned()
    }
}

fn profile(url: &str, sinks: &str) -> String {
    format!(
        "[auth]\nmode = \"off\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"{url}\"\nconnect_timeout = \"2s\"\n\
         migrate_on_start = true\n[keys]\nactive = \"local\"\n{}\n\
         [ledger]\norigin = \"example.com/test\"\npoll_interval = \"20ms\"\n\
         [ledger.signer]\nkind = \"local\"\nfile = \"data/ledger-key\"\ncreate_if_missing = true\n{sinks}",
        local_backend("local")
    )
}

async fn stop(mut server: Server) -> String {
    server.signal("TERM");
    let status = server.exit().await;
    assert!(status.success(), "{}", server.log());
    server.log()
}

async fn create(server: &Server, number: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(number);
    for _ in 0..number.div_ceil(10) {
        ids.extend(join_all((0..10).map(async |_| server.create(&Person::new()).await)).await);
    }
    ids
}

async fn forget(server: &Server, id: &str) -> Place {
    let query = "mutation($id: ID!) { forgetUser(id: $id) { sequence digest } }";
    let answer = server.try_graphql(query, json!({ "id": id })).await.unwrap();
    place(&answer["data"]["forgetUser"], &answer)
}

async fn erasure(server: &Server, id: &str) -> Place {
    let query = "query($id: ID!) { erasure(userId: $id) { sequence digest } }";
    let answer = server.try_graphql(query, json!({ "id": id })).await.unwrap();
    place(&answer["data"]["erasure"], &answer)
}

fn place(erasure: &Value, answer: &Value) -> Place {
    let sequence = erasure["sequence"].as_i64().unwrap_or_else(|| panic!("{answer}"));
    Place { sequence, digest: erasure["digest"].as_str().unwrap().to_owned() }
}

/// The code of an error, or nothing if somebody was answered about.
async fn code(server: &Server, id: &str) -> String {
    let answer = server.read(id).await;
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
}

async fn readyz(server: &Server) -> (StatusCode, String) {
    let answer = server.client().get(server.url("/readyz")).send().await.unwrap();
    let status = answer.status();
    let checks: Value = answer.json().await.unwrap();
    (status, checks["checks"]["sinks"].as_str().unwrap_or_default().to_owned())
}

async fn is_ready(server: &Server) {
    soon("the server is ready", async || readyz(server).await == (StatusCode::OK, "ok".to_owned())).await;
}

/// A moment in which many looks are made.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}
