//! Several processes share one run's work.

use std::process::Stdio;

use oubliette::keys::local::{KeyFile, LocalBackend};
use serde_json::Value;

use crate::harness::{Site, TestStack, local_backend, populate};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_and_four_processes_move_each_of_20000_keys_once() {
    const USERS: usize = 20_000;
    let site = Site::new(TestStack::postgres(), "local", &local_backend("local")).await;
    let path = site.sandbox.path("data/local.toml");
    let first = KeyFile::create(&path).unwrap().primary().to_owned();
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "second"]);
    let backend = LocalBackend::new("local", &KeyFile::read(&path).unwrap());
    populate(&site.db, &backend, USERS).await;

    for (processes, to) in [(2, "local:second".to_owned()), (4, format!("local:{first}"))] {
        let rate = (8000 / processes).to_string();
        let arguments = ["keys", "rewrap", "--yes", "--json", "--to", &to, "--max-rate", &rate];
        let runs: Vec<_> = (0..processes)
            .map(|_| {
                let mut run = site.sandbox.admin_command(&arguments);
                run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let results: Vec<Value> = runs
            .into_iter()
            .map(|run| {
                let output = run.wait_with_output().unwrap();
                let said = String::from_utf8(output.stdout).unwrap();
                assert_eq!(
                    output.status.code(),
                    Some(0),
                    "{said} {}",
                    String::from_utf8_lossy(&output.stderr)
                );
                serde_json::from_str(said.lines().last().unwrap()).unwrap()
            })
            .collect();
        let sum = |name: &str| results.iter().map(|result| result[name].as_u64().unwrap()).sum::<u64>();
        assert_eq!(sum("done"), USERS as u64, "{results:?}");
        assert_eq!(sum("calls"), USERS as u64, "each was rewrapped once: {results:?}");
        assert_eq!((sum("changed"), sum("failed"), sum("left")), (0, 0, 0), "{results:?}");
        let busy = results.iter().filter(|result| result["done"].as_u64() > Some(0)).count();
        assert_eq!(busy, processes, "all of them had a share: {results:?}");
        assert!(site.data_keys().await.iter().all(|key| key.kek_id == to));
    }
    site.verify(USERS);
    let status: Value = serde_json::from_str(&site.sandbox.admin_ok(&["keys", "status", "--json"])).unwrap();
    let runs = status["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 6);
    assert!(runs.iter().all(|run| run["outcome"] == "completed"), "{status}");
}
