//! SQLite's write-ahead log is emptied after a forgetting also if somebody reads just then.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures::future::join_all;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, Statement, TransactionTrait,
};
use uuid::Uuid;

use crate::harness::{Person, Site, TestApp, TestStack, populate, soon};

/// Somebody who reads until the transaction ends.
async fn reader(db: &DatabaseConnection) -> DatabaseTransaction {
    let reader = db.begin().await.unwrap();
    let sql = "SELECT * FROM users, data_keys LIMIT 1";
    reader.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
    reader
}

async fn wrapped_key(db: &DatabaseConnection, id: Uuid) -> Vec<u8> {
    let sql = format!("SELECT wrapped FROM data_keys WHERE subject_id = x'{}'", id.simple());
    let row = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
    row.unwrap().try_get("", "wrapped").unwrap()
}

/// A backup, or somebody with an open transaction in `sqlite3`: the log cannot be emptied meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_reader_holds_nobody_up_and_the_log_is_emptied_after_it() {
    let app = TestApp::start(TestStack::sqlite()).await;
    let id = app.create(&Person::new()).await;
    let wrapped = wrapped_key(&app.db, id).await;
    let reader = reader(&app.db).await;

    let started = Instant::now();
    app.forget(id).await;
    app.create(&Person::new()).await;
    assert!(started.elapsed() < Duration::from_secs(5), "the reader was waited for");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        app.database.files_contain(&wrapped),
        "the reader did not hold up anything: the test shows nothing"
    );
    reader.rollback().await.unwrap();
    soon("the log is emptied", async || !app.database.files_contain(&wrapped)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_forgetting_empties_the_log_at_once() {
    let app = TestApp::start(TestStack::sqlite()).await;
    let (id, other) = (app.create(&Person::new()).await, app.create(&Person::new()).await);
    let wrapped = wrapped_key(&app.db, id).await;
    let reader = reader(&app.db).await;
    app.forget(id).await;
    // The pauses in the background have grown meanwhile.
    tokio::time::sleep(Duration::from_secs(2)).await;
    reader.rollback().await.unwrap();
    app.forget(other).await;
    assert!(!app.database.files_contain(&wrapped), "the next forgetting did not empty the log");
}

/// There is always somebody who reads, and never anybody who reads for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_steady_readers_the_log_is_emptied_of_everybody_who_was_forgotten() {
    let app = TestApp::start(TestStack::sqlite()).await;
    let mut people = Vec::new();
    for _ in 0..12 {
        let id = app.create(&Person::new()).await;
        people.push((id, wrapped_key(&app.db, id).await));
    }
    let over = AtomicBool::new(false);
    let read = async |n: u64| {
        while !over.load(Ordering::SeqCst) {
            let reader = reader(&app.db).await;
            tokio::time::sleep(Duration::from_millis(150 + 20 * n)).await;
            reader.rollback().await.unwrap();
        }
    };
    let forget = async {
        let mut held_up = 0;
        for (id, wrapped) in &people {
            app.forget(*id).await;
            held_up += usize::from(app.database.files_contain(wrapped));
        }
        assert!(held_up > 0, "the readers did not hold up anything: the test shows nothing");
        let left = || people.iter().any(|(_, wrapped)| app.database.files_contain(wrapped));
        soon("the log is emptied", async || !left()).await;
        over.store(true, Ordering::SeqCst);
    };
    tokio::join!(join_all((0..6).map(read)), forget);
}

/// A command ends; what it could not empty, it says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_forgets_waits_for_readers_and_tells_if_it_was_in_vain() {
    let (site, backend) = Site::on_local_keys(TestStack::sqlite()).await;
    let people = populate(&site.db, &backend, 2).await;
    let warning = "may still hold what was forgotten";
    for (reads_for, told) in [(Duration::from_secs(1), false), (Duration::from_mins(1), true)] {
        let id = people[usize::from(told)].0;
        let wrapped = wrapped_key(&site.db, id).await;
        let reader = reader(&site.db).await;
        let arguments = ["users", "forget", &id.to_string(), "--yes"];
        let mut command = site.sandbox.admin_command(&arguments);
        let forgetting = tokio::task::spawn_blocking(move || command.output().unwrap());
        let read = tokio::spawn(async move {
            tokio::time::sleep(reads_for).await;
            reader.rollback().await.unwrap();
        });
        let output = forgetting.await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains(warning), told, "{said}");
        assert_eq!(site.files_contain(&wrapped), told);
        read.abort();
    }
}

/// The last process that closes the database empties the log. A server that is not the last one says so, and the next one that starts
/// does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_beside_a_reader_tells_what_it_leaves() {
    let (site, backend) = Site::on_local_keys(TestStack::sqlite()).await;
    let people = populate(&site.db, &backend, 2).await;
    for (n, reads) in [(0, false), (1, true)] {
        let id = people[n].0.to_string();
        let wrapped = wrapped_key(&site.db, people[n].0).await;
        let mut server = site.sandbox.start().await;
        let reader = if reads { Some(reader(&site.db).await) } else { None };
        let forget = "mutation($id: ID!) { forgetUser(id: $id) { sequence } }";
        let answer = server.try_graphql(forget, serde_json::json!({ "id": id })).await.unwrap();
        assert_eq!(answer.get("errors"), None, "{answer}");
        server.signal("TERM");
        assert!(server.exit().await.success());
        assert_eq!(server.log().contains("may still hold what was forgotten"), reads);
        assert_eq!(site.files_contain(&wrapped), reads);
        drop(reader);
        let _next = site.sandbox.start().await;
        soon("the log is emptied", async || !site.files_contain(&wrapped)).await;
    }
}
