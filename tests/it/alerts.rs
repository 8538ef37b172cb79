//! The rules of `docs/alerts.yml`, on a real Prometheus: each alert is there after the first event.

use std::{path::Path, time::Duration};

use axum::{Router, http::StatusCode, routing::post};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use serde_json::json;

use crate::harness::{Person, Prometheus, Sandbox, finish, log_everything, prometheus_command};

/// SQLite tells nobody anything.
const ON_SQLITE: &str = "OublietteNotNotified";

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

async fn database(sandbox: &Sandbox) -> DatabaseConnection {
    let path = sandbox.path("data/oubliette.db");
    sea_orm::Database::connect(format!("sqlite://{}", path.display())).await.unwrap()
}

#[test]
fn each_alert_fires_on_the_first_event_and_is_silent_without() {
    let rules = file("docs/alerts.yml");
    for arguments in [["check", "rules"], ["test", "rules"]] {
        let file = if arguments[0] == "check" { &rules } else { &file("tests/prometheus/alerts.test.yml") };
        let finished = finish(prometheus_command("promtool").args(arguments).arg(file));
        assert_eq!(finished.status, Some(0), "{}{}", finished.stdout, finished.stderr);
    }
    let tests = std::fs::read_to_string(file("tests/prometheus/alerts.test.yml")).unwrap();
    let rules = std::fs::read_to_string(rules).unwrap();
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let silent = format!("alertname: {alert}, exp_alerts: []");
        assert!(tests.contains(&silent), "no test sees that {alert} is silent");
        assert!(tests.contains(&format!("alertname: {alert}, exp_alerts: [{{")), "no test sees {alert}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_events_of_a_real_server_raise_their_alerts() {
    log_everything();
    let sandbox = Sandbox::new();
    let person = Person::new();
    let id = sandbox.start().await.create(&person).await;
    // Its cache is empty.
    let server = sandbox.start().await;
    let prometheus = Prometheus::watch(server.metrics_address(), &file("docs/alerts.yml")).await;
    prometheus.fires(ON_SQLITE).await;
    // Some evaluations more.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(prometheus.firing().await, [ON_SQLITE]);

    let db = database(&sandbox).await;
    db.execute_unprepared("UPDATE data_keys SET wrapped = substr(wrapped, 1, 14) || zeroblob(48)")
        .await
        .unwrap();
    let answer = server.read(&id).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "DECRYPTION_FAILED", "{answer}");
    prometheus.fires("OublietteWrappedKeyForeign").await;

    let refuse = "CREATE TRIGGER full BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'full'); END";
    db.execute_unprepared(refuse).await.unwrap();
    server.read(&id).await;
    prometheus.fires("OublietteAuditUnwritable").await;
    db.execute_unprepared("DROP TRIGGER full").await.unwrap();

    assert!(!prometheus.firing().await.contains(&"OublietteKeyRefused".to_owned()));
    std::fs::remove_file(sandbox.path("data/keys.toml")).unwrap();
    let person = json!({ "username": Person::new().username });
    let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    let answer = server.try_graphql(query, json!({ "input": person })).await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "KEY_BACKEND_UNAVAILABLE", "{answer}");
    prometheus.fires("OublietteKeyRefused").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_refused_at_the_start_raises_its_alert() {
    log_everything();
    let refusal = || async { (StatusCode::BAD_REQUEST, r#"{"__type":"AccessDeniedException"}"#) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let kms = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, Router::new().route("/", post(refusal))).into_future());
    let profile = format!(
        "[auth]\nmode = \"off\"\n[database]\nurl = \"sqlite://data.db?mode=rwc\"\nmigrate_on_start = true\n\
         [keys]\nactive = \"kms\"\n[keys.backends.kms]\nkind = \"aws-kms\"\nkey_id = \"alias/x\"\n\
         region = \"us-east-1\"\ncredentials = \"test\"\nendpoint_url = \"http://{kms}\"\n"
    );
    let sandbox = Sandbox::new().with_profile("refused", &profile);
    let server = sandbox.start().await;
    let prometheus = Prometheus::watch(server.metrics_address(), &file("docs/alerts.yml")).await;
    prometheus.fires("OublietteKeyRefused").await;
}
