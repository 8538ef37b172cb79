//! An import that cannot go on, or is told not to.

use std::{
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use super::{COLUMNS, csv, objects, require_all, row, site};
use crate::harness::{Fault, Site, TestStack, kms_backend, kms_proxy, localstack, on_both_databases, soon};

on_both_databases!(
    an_import_that_is_interrupted_goes_on_later,
    a_rate_is_kept,
    a_key_backend_that_refuses_stops_an_import_and_nobody_is_lost,
    a_wrapping_key_is_changed_during_an_import,
    what_is_missing_is_found_before_anybody_is_imported,
);

/// What a command said that goes on beside this task.
async fn ended(run: Child) -> Output {
    tokio::task::spawn_blocking(|| run.wait_with_output().unwrap()).await.unwrap()
}

async fn an_import_that_is_interrupted_goes_on_later(stack: TestStack) {
    let site = site(stack).await;
    let rows: Vec<_> = (0..300).map(|_| row()).collect();
    site.sandbox.write("people.csv", &csv(&COLUMNS, &rows));
    let mut command = site.sandbox.admin_command(&["users", "import", "people.csv", "--max-rate", "40"]);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    soon("somebody is there", async || site.user_rows().await.len() >= 20).await;
    let signal = Command::new("kill").args(["-s", "INT", &run.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let ended = ended(run).await;
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(
        said.ends_with("\ninterrupted: to go on, run it again: whoever is here already is left out\n"),
        "{said}"
    );
    assert!(String::from_utf8(ended.stderr).unwrap().contains("ending: what is in hand is stored"));
    let some = site.user_rows().await.len();
    assert!((20..300).contains(&some), "{some}");
    assert!(said.starts_with(&format!("imported {some} people in ")), "{some}: {said}");
    let said = site.sandbox.admin_ok(&["users", "import", "people.csv"]);
    assert!(
        said.contains(&format!("\n{some} people here already, with all that the file says of them\n")),
        "{said}"
    );
    require_all(&site, &rows);
}

async fn a_rate_is_kept(stack: TestStack) {
    let site = site(stack).await;
    let rows: Vec<_> = (0..60).map(|_| row()).collect();
    site.sandbox.write("people.csv", &csv(&COLUMNS, &rows));
    let began = Instant::now();
    let said = site.sandbox.admin_ok(&["users", "import", "people.csv", "--max-rate", "20", "--json"]);
    // The first few come at once.
    assert!(began.elapsed() >= Duration::from_millis(2700), "{:?}", began.elapsed());
    let events = objects(&said);
    let (result, progress) = events.split_last().unwrap();
    assert_eq!((&result["created"], &result["outcome"]), (&json!(60), &json!("completed")));
    assert!(progress.len() >= 2 && progress.iter().all(|event| event["event"] == "progress"), "{said}");
    let bytes = std::fs::metadata(site.sandbox.path("people.csv")).unwrap().len();
    let position = |place: usize| progress[place]["bytes"].as_u64().unwrap();
    assert!(position(0) <= position(1) && position(0) < bytes && progress[0]["of"] == json!(bytes), "{said}");
}

async fn a_key_backend_that_refuses_stops_an_import_and_nobody_is_lost(stack: TestStack) {
    let (proxy, arn) = (kms_proxy().await, localstack().create_key().await);
    let site = Site::new(stack, "kms", &kms_backend("kms", arn.as_ref(), &proxy)).await;
    let rows: Vec<_> = (0..60).map(|_| row()).collect();
    let own = ["username", "email", "phone"];
    site.sandbox.write("people.csv", &csv(&own, &rows));
    let arguments = ["users", "import", "people.csv", "--max-rate", "20"];
    let mut command = site.sandbox.admin_command(&arguments);
    let run = command.stdout(Stdio::piped()).spawn().unwrap();
    soon("somebody is there", async || site.user_rows().await.len() >= 10).await;
    proxy.fail(Fault::Refused(400, "AccessDeniedException"));
    let ended = ended(run).await;
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("\nstopped: the data key could not be had: key backend `kms`: "), "{said}");
    let some = site.user_rows().await.len();
    assert!(
        (10..60).contains(&some) && said.starts_with(&format!("imported {some} people in ")),
        "{some}: {said}"
    );
    proxy.fail(None);
    let said = site.sandbox.admin_ok(&["users", "import", "people.csv"]);
    assert!(said.starts_with(&format!("imported {} people in ", 60 - some)), "{said}");
    site.verify(60);
    // An export stops, too, and prints nobody as somebody without values.
    proxy.fail(Fault::Refused(400, "AccessDeniedException"));
    let error = site.sandbox.admin_error(&["users", "export", "--max-rate", "0"]);
    assert!(
        error.contains("the export stops, since values cannot be decrypted now: key backend `kms`: "),
        "{error}"
    );
    proxy.fail(None);
    let began = Instant::now();
    let all = site.sandbox.admin_ok(&["users", "export", "--max-rate", "40"]);
    assert_eq!(objects(&all).len(), 60);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

async fn what_is_missing_is_found_before_anybody_is_imported(stack: TestStack) {
    let site = site(stack).await;
    site.sandbox.write("people.csv", &csv(&COLUMNS, &[row()]));
    let import = ["users", "import", "people.csv"];
    let mut command = site.sandbox.admin_command(&import);
    let said = command.env("TMPDIR", "/proc/nowhere").output().unwrap();
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(
        said.contains("a temporary file cannot be made in `/proc/nowhere` (TMPDIR is another folder)"),
        "{said}"
    );
    std::fs::rename(site.sandbox.path("data/local.toml"), site.sandbox.path("data/away.toml")).unwrap();
    for flags in [&["--dry-run"][..], &[]] {
        let said = site.sandbox.admin(&[&import[..], flags].concat());
        assert_eq!((said.status, &*said.stdout), (Some(1), ""));
        let expected = "nobody can be imported: key backend `local` makes no data keys. A server, started once, says what is missing";
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    }
    assert_eq!(site.user_rows().await, []);
}

/// The runbook's steps, while people come in.
async fn a_wrapping_key_is_changed_during_an_import(stack: TestStack) {
    let site = site(stack).await;
    let old = site.sandbox.admin_ok(&["keys", "local", "list", "--json"]);
    let old: serde_json::Value = serde_json::from_str(&old).unwrap();
    let old = old["keys"][0]["name"].as_str().unwrap().to_owned();
    let rows: Vec<_> = (0..400).map(|_| row()).collect();
    site.sandbox.write("people.csv", &csv(&COLUMNS, &rows));
    let mut command = site.sandbox.admin_command(&["users", "import", "people.csv", "--max-rate", "40"]);
    let run = command.stdout(Stdio::piped()).spawn().unwrap();
    soon("somebody is there", async || site.user_rows().await.len() >= 20).await;
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "next"]);
    site.sandbox.admin_ok(&["keys", "local", "promote", "next"]);
    site.sandbox.admin(&["keys", "retire", &format!("local:{old}"), "--yes"]);
    let ended = ended(run).await;
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    let keys = site.data_keys().await;
    assert!(keys.iter().any(|key| key.kek_id == "local:next"), "the promoted key is used");
    require_all(&site, &rows);
}
