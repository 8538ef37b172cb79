//! Several processes share one run's work.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use oubliette::{
    KeyMetrics,
    audit::Origin,
    config::KeysConfig,
    entity::{key_claim, key_operation},
    keys::{
        Backends,
        local::{KeyFile, LocalBackend},
        rewrap::{Rewrap, Selection},
        sweep::{Controls, RunOutcome, SweepOptions, Tally},
    },
};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::{Site, TestStack, local_backend, on_both_databases, populate, sized};

on_both_databases!(what_a_killed_run_had_claimed_is_done_whenever_its_death_is_noticed);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_and_four_processes_move_each_key_once() {
    // The rate has a run take some seconds, so that there is enough to do when the last process has started.
    let (users, rate, batch) = sized((4_000, 1_600, "100"), (20_000, 8_000, "1000"));
    let site = Site::new(TestStack::postgres(), "local", &local_backend("local")).await;
    let path = site.sandbox.path("data/local.toml");
    let first = KeyFile::create(&path).unwrap().primary().to_owned();
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "second"]);
    let backend = LocalBackend::new("local", &KeyFile::read(&path).unwrap());
    populate(&site.db, &backend, users).await;

    for (processes, to) in [(2, "local:second".to_owned()), (4, format!("local:{first}"))] {
        let rate = (rate / processes).to_string();
        let arguments =
            ["keys", "rewrap", "--yes", "--json", "--to", &to, "--max-rate", &rate, "--batch-size", batch];
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
        assert_eq!(sum("done"), users as u64, "{results:?}");
        assert_eq!(sum("calls"), users as u64, "each was rewrapped once: {results:?}");
        assert_eq!((sum("changed"), sum("failed"), sum("left")), (0, 0, 0), "{results:?}");
        let busy = results.iter().filter(|result| result["done"].as_u64() > Some(0)).count();
        assert_eq!(busy, processes, "all of them had a share: {results:?}");
        assert!(site.data_keys().await.iter().all(|key| key.kek_id == to));
    }
    site.verify(users);
    let status: Value = serde_json::from_str(&site.sandbox.admin_ok(&["keys", "status", "--json"])).unwrap();
    let runs = status["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 6);
    assert!(runs.iter().all(|run| run["outcome"] == "completed"), "{status}");
}

/// The last worker of a run finds everything claimed by a run that was killed; and just after, its time is up.
async fn what_a_killed_run_had_claimed_is_done_whenever_its_death_is_noticed(stack: TestStack) {
    const USERS: usize = 20;
    const WORKERS: usize = 4;
    let site = Site::new(stack, "local", &local_backend("local")).await;
    let path = site.sandbox.path("data/local.toml");
    KeyFile::create(&path).unwrap();
    let old = LocalBackend::new("local", &KeyFile::read(&path).unwrap());
    populate(&site.db, &old, USERS).await;
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "second"]);
    let backend = Arc::new(LocalBackend::new("local", &KeyFile::read(&path).unwrap()));

    // A run counts as dead when it has been silent for 10 s.
    let dead_at = Utc::now() + TimeDelta::seconds(5);
    let started_at = dead_at - TimeDelta::seconds(10);
    let killed = key_operation::Model {
        id: Uuid::now_v7(),
        kind: "rewrap".to_owned(),
        actor: "killed".to_owned(),
        from_kek: None,
        to_kek: None,
        started_at,
        heartbeat_at: started_at,
        ended_at: None,
        outcome: None,
        planned: 0,
        done: 0,
        changed: 0,
        failed: 0,
    };
    let claim = key_claim::Model {
        id: Uuid::now_v7(),
        operation_id: killed.id,
        first_subject_id: Uuid::nil(),
        last_subject_id: Uuid::max(),
    };
    key_operation::Entity::insert(killed.into_active_model().reset_all()).exec(&site.db).await.unwrap();
    key_claim::Entity::insert(claim.into_active_model().reset_all()).exec(&site.db).await.unwrap();

    let looks = Arc::new(AtomicUsize::new(0));
    let (mut db, looked) = (site.db.clone(), looks.clone());
    db.set_metric_callback(move |info| {
        let sql = &info.statement.sql;
        if sql.starts_with("SELECT")
            && sql.contains("FROM \"key_operations\"")
            && looked.fetch_add(1, Relaxed) + 1 == WORKERS
        {
            assert!(Utc::now() < dead_at, "this machine is too slow to tell");
            let left = dead_at.signed_duration_since(Utc::now()).to_std().unwrap();
            std::thread::sleep(left + Duration::from_millis(20));
        }
    });
    let backends = Backends::new(backend, Vec::new(), &KeysConfig::default(), KeyMetrics::default());
    let rewrap = Rewrap::new(db, backends);
    let selection = Selection { to: Some("local:second".to_owned()), ..Selection::default() };
    let plan = rewrap.plan(selection).await.unwrap();
    let options = SweepOptions {
        batch_size: NonZeroU32::new(10).unwrap(),
        concurrency: NonZeroUsize::new(4).unwrap(),
        max_rate: None,
        limit: None,
        patience: Duration::from_secs(20),
    };
    let controls = Controls {
        stop: CancellationToken::new(),
        tally: Arc::new(Tally::default()),
        on_failure: Arc::new(|failure| panic!("{failure:?}")),
        on_wait: Arc::new(|_| ()),
    };
    let report = rewrap.run(&plan, &Origin::new("a test"), &options, &controls).await.unwrap();
    assert!(looks.load(Relaxed) > WORKERS);
    assert_eq!((report.outcome, report.left), (RunOutcome::Completed, 0));
    assert_eq!(controls.tally.counts().done, USERS as u64);
}
