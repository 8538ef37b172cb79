//! `oubliette-admin`: what it prints, and what it says when it cannot.

mod asking;
mod config;
mod environment;
mod help;
mod local_keys;
mod receipts;
mod redaction;
mod users;
mod verify;

use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Person, Sandbox, TestApp, TestStack, finish, on_both_databases};

on_both_databases!(migrating_twice_is_once, a_dry_run_changes_nothing, data_keys_are_counted_by_wrapping_key,);

const MIGRATIONS: [&str; 15] = [
    "m20261123_000001_users",
    "m20261123_000002_data_keys",
    "m20261123_000003_erasures",
    "m20261124_000004_key_operations",
    "m20261124_000005_audit",
    "m20261124_000006_access_tokens",
    "m20261128_000007_wrapping_keys",
    "m20261128_000008_ledger_rollbacks",
    "m20261128_000009_audit_2",
    "m20261128_000010_audit_groups",
    "m20261129_000011_personal_values",
    "m20261129_000012_index_keys",
    "m20261129_000013_search",
    "m20261129_000014_ledger_sinks",
    "m20261129_000015_ledger_forms",
];

fn sandbox(database: &TestStack) -> Sandbox {
    Sandbox::new().with_env("OUBLIETTE_DATABASE__URL", &database.url())
}

#[tokio::test]
async fn the_schema_file_is_what_the_server_serves() {
    let schema = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql")).unwrap();
    let printed = Sandbox::new().admin_ok(&["schema"]);
    assert!(
        printed == schema,
        "schema.graphql has drifted: cargo run --bin oubliette-admin -- schema > schema.graphql"
    );
}

async fn migrating_twice_is_once(stack: TestStack) {
    let sandbox = sandbox(&stack);
    let migrated = MIGRATIONS.map(|name| format!("migrated {name}\n")).concat();
    assert_eq!(sandbox.admin_ok(&["migrate"]), migrated);
    assert!(include_str!("../../docs/configuration.md").contains(&migrated), "the docs show another list");
    assert_eq!(sandbox.admin_ok(&["migrate"]), "the schema is up to date\n");
    assert_eq!(sandbox.admin_ok(&["migrate", "--dry-run"]), "the schema is up to date\n");
}

async fn a_dry_run_changes_nothing(stack: TestStack) {
    let sandbox = sandbox(&stack);
    for _ in 0..2 {
        let error = sandbox.admin_error(&["migrate", "--dry-run"]);
        assert!(MIGRATIONS.iter().all(|name| error.contains(name)), "{error}");
    }
    let db = oubliette::database::connect(&stack.config()).await.unwrap();
    for table in ["seaql_migrations", "users", "data_keys"] {
        let found =
            sea_orm::ConnectionTrait::execute_unprepared(&db, &format!("SELECT * FROM {table}")).await;
        assert!(found.is_err(), "{table} exists");
    }
    let error = sandbox.admin_error(&["keys", "status"]);
    assert!(error.contains("`oubliette-admin migrate`"), "{error}");
}

async fn data_keys_are_counted_by_wrapping_key(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let sandbox = sandbox(&app.database);
    for table in ["index_keys", "wrapping_keys"] {
        app.sql(&format!("DELETE FROM {table}")).await;
    }
    // There is no key file, and none is needed, or made.
    let status = |arguments: &[&str]| {
        let finished = sandbox.admin(&[&["keys", "status"], arguments].concat());
        let warning = "warning: key backend `local`: key file `data/keys.toml` does not exist\n";
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), warning));
        finished.stdout
    };
    assert_eq!(
        status(&[]),
        "WRAPPING KEY  BACKEND  STATE  DATA KEYS  INDEX KEYS\ntotal                                 0           0\n"
    );
    let none = json!({ "data_keys": 0, "wrapping_keys": [], "runs": [] });
    assert_eq!(serde_json::from_str::<Value>(&status(&["--json"])).unwrap(), none);

    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(app.create(&Person::new()).await);
    }
    app.sql("UPDATE data_keys SET kek_id = 'local:new'").await;
    app.sql("UPDATE wrapping_keys SET kek_id = 'local:new'").await;
    for id in &ids[..2] {
        let id = app.literal(*id);
        app.sql(&format!("UPDATE data_keys SET kek_id = 'arn:aws:kms:x' WHERE subject_id = {id}")).await;
    }
    let expected = "\
WRAPPING KEY   BACKEND          STATE   DATA KEYS  INDEX KEYS
local:new      none configured  active         10           0  █████████████████░░░
arn:aws:kms:x  none configured                  2           0  ████░░░░░░░░░░░░░░░░
total                                          12           0
";
    assert_eq!(status(&[]), expected);
    let expected = json!({ "data_keys": 12, "wrapping_keys": [
        { "kek_id": "local:new", "backend": null, "data_keys": 10, "index_keys": 0, "state": "active" },
        { "kek_id": "arn:aws:kms:x", "backend": null, "data_keys": 2, "index_keys": 0, "state": null },
    ], "runs": [] });
    assert_eq!(serde_json::from_str::<Value>(&status(&["--json"])).unwrap(), expected);
    assert!(!sandbox.path("data").exists());
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let sandbox = Sandbox::new();
    for arguments in [&["schema"][..], &["config"], &["config", "--json"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = sandbox.admin_command(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let sandbox = Sandbox::new();
    let output = sandbox.admin_command(&["schema"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn usage_errors_have_their_own_exit_status() {
    let sandbox = Sandbox::new();
    for arguments in [&["nonsense"][..], &[], &["keys"], &["migrate", "--nonsense"], &["config", "--set"]] {
        let finished = finish(&mut sandbox.admin_command(arguments));
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(finished.stderr.contains("--help"), "{arguments:?}: {}", finished.stderr);
    }
}
