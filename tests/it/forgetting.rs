//! What is forgotten stays forgotten.

use std::time::{Duration, Instant};

use oubliette::{
    app::App,
    audit::Origin,
    config::{BackendConfig, Config},
    envelope::{DataKeyId, KeyVersion},
    keys::{ErrorClass, local::KeyFile},
};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use crate::harness::{Person, TestApp, TestStack, on_every_stack};

on_every_stack!(
    nothing_of_a_forgotten_user_is_left,
    forgetting_needs_no_key_backend,
    a_key_that_was_being_unwrapped_does_not_come_back,
    a_ciphertext_taken_before_does_not_open,
    a_restored_backup_is_forgotten_again,
    a_client_that_hangs_up_does_not_stop_a_forgetting,
);

fn key_of(id: Uuid) -> DataKeyId {
    DataKeyId { subject: id.into(), version: KeyVersion::FIRST }
}

async fn nothing_of_a_forgotten_user_is_left(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let (id, other) = (app.create(&Person::new()).await, app.create(&Person::new()).await);
    assert!(app.keyring.cached(key_of(id)).await.is_some());
    app.forget(id).await;
    assert!(app.keyring.cached(key_of(id)).await.is_none(), "the open key is gone at once");
    for (table, column) in [("users", "id"), ("data_keys", "subject_id")] {
        let of = |id| format!("SELECT * FROM {table} WHERE {column} = {}", app.literal(id));
        assert_eq!(app.rows(&of(id)).await.len(), 0, "{table}");
        assert_eq!(app.rows(&of(other)).await.len(), 1, "{table}");
    }
}

async fn forgetting_needs_no_key_backend(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let id = app.create(&Person::new()).await;
    app.backend.fail(ErrorClass::Unavailable);
    assert_eq!(app.forget(id).await["userId"], json!(id));
    assert_eq!(app.read(id).await["errors"][0]["extensions"]["code"], "FORGOTTEN");
}

async fn a_key_that_was_being_unwrapped_does_not_come_back(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let id = app.create(&Person::new()).await;
    app.keyring.evict(id.into(), [key_of(id)]).await;

    app.backend.hold();
    let read = app.read(id);
    let forget = async {
        let started = Instant::now();
        while app.backend.unwrapped() == 0 {
            assert!(started.elapsed() < Duration::from_secs(10), "no unwrap began");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        app.forget(id).await;
        app.backend.release();
    };
    // The read began before the forgetting, so it may be answered either way.
    tokio::join!(read, forget);

    assert_eq!(app.backend.unwrapped(), 1, "the unwrap was in flight");
    assert!(app.keyring.cached(key_of(id)).await.is_none(), "the key came back");
    assert!(app.keyring.open(key_of(id)).await.is_err());
}

async fn a_ciphertext_taken_before_does_not_open(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let (victim, accomplice) = (app.create(&Person::new()).await, app.create(&Person::new()).await);
    let email = app.column(victim, "email_encrypted").await;
    app.forget(victim).await;

    // In another user's row.
    app.set_column(accomplice, "email_encrypted", &email).await;
    let read = app.read(accomplice).await;
    assert_eq!(read["errors"][0]["extensions"]["code"], "DECRYPTION_FAILED");
    assert_eq!(read["data"]["user"]["email"], json!(null));

    // In a row put back under the old id, with and without somebody else's data key.
    let (old, new) = (app.literal(victim), app.literal(accomplice));
    app.sql(&format!("UPDATE users SET id = {old} WHERE id = {new}")).await;
    assert_eq!(app.read(victim).await["errors"][0]["extensions"]["code"], "FORGOTTEN");
    app.sql(&format!("UPDATE data_keys SET subject_id = {old} WHERE subject_id = {new}")).await;
    let read = app.read(victim).await;
    assert_eq!(read["errors"][0]["extensions"]["code"], "DECRYPTION_FAILED", "{read}");
    assert_eq!(read["data"]["user"]["email"], json!(null));
}

async fn a_restored_backup_is_forgotten_again(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let person = Person::new();
    let id = app.create(&person).await;
    app.sql("CREATE TABLE backup_users AS SELECT * FROM users").await;
    app.sql("CREATE TABLE backup_keys AS SELECT * FROM data_keys").await;
    let erasure = app.forget(id).await;
    app.sql("INSERT INTO users SELECT * FROM backup_users").await;
    app.sql("INSERT INTO data_keys SELECT * FROM backup_keys").await;

    assert_eq!(app.forget(id).await, erasure, "the first erasure stands");
    for table in ["users", "data_keys"] {
        assert!(app.rows(&format!("SELECT * FROM {table}")).await.is_empty(), "{table}");
    }

    // Nobody has to ask for it: a server does it when it starts.
    let bystander = app.create(&Person::new()).await;
    app.sql("INSERT INTO users SELECT * FROM backup_users").await;
    app.sql("INSERT INTO data_keys SELECT * FROM backup_keys").await;
    start_another_server(&app).await;
    for (table, column) in [("users", "id"), ("data_keys", "subject_id")] {
        let sql = format!("SELECT * FROM {table} WHERE {column} = {}", app.literal(id));
        assert!(app.rows(&sql).await.is_empty(), "{table}");
    }
    assert_eq!(app.users.forget_the_returned(&Origin::new("a test")).await.unwrap(), 0);
    assert_eq!(app.read(id).await["errors"][0]["extensions"]["code"], "FORGOTTEN");
    assert_eq!(app.read(bystander).await.get("errors"), None);
}

/// Starts as the binary does, on the same database, with a key file of its own.
async fn start_another_server(app: &TestApp) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("keys.toml");
    KeyFile::create(&file).unwrap();
    let mut config = Config { database: app.database.config(), ..Config::default() };
    config.keys.active = "local".to_owned();
    let backend = BackendConfig::new("local", [("file", file.to_str().unwrap().into())]);
    config.keys.backends.insert("local".to_owned(), backend);
    App::start(&config).await.unwrap();
}

async fn a_client_that_hangs_up_does_not_stop_a_forgetting(stack: TestStack) {
    let app = TestApp::start(stack).await;
    for _ in 0..20 {
        let id = app.create(&Person::new()).await;
        let hasty = tokio::time::timeout(Duration::from_micros(rand::random_range(50..3000)), app.forget(id));
        if hasty.await.is_ok() {
            continue;
        }
        // The request may have been cut off before the server saw it. If the row is gone, the key must be.
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let rows = app.rows(&format!("SELECT 1 FROM users WHERE id = {}", app.literal(id))).await;
            if rows.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert!(
                    app.keyring.cached(key_of(id)).await.is_none(),
                    "forgotten, but the key is still open"
                );
                break;
            }
        }
    }
}
