//! Killed at any moment, and begun again.

use std::{
    fs::{self, File},
    time::Duration,
};

use oubliette::{
    KeyMetrics,
    config::KeysConfig,
    keys::{
        Backends, KeyBackend, Keyring,
        local::{KeyFile, LocalBackend},
    },
    users::Users,
};

use crate::harness::{Site, TestStack, local_backend, on_both_databases, populate, sized};

on_both_databases!(a_run_that_is_killed_again_and_again_loses_nobody);

async fn a_run_that_is_killed_again_and_again_loses_nobody(stack: TestStack) {
    let (users, wanted) = sized((1_000, 25), (5_000, 100));
    // A run takes about as long as the longest of the waits before a kill.
    let (rate, longest) = sized(("2000", 700), ("4000", 1200));
    let site = Site::new(stack, "local", &local_backend("local")).await;
    let path = site.sandbox.path("data/local.toml");
    let mut file = KeyFile::create(&path).unwrap();
    drop(site.sandbox.admin_ok(&["keys", "local", "add", "--name", "other"]));
    let names = [file.primary().to_owned(), "other".to_owned()];
    file = KeyFile::read(&path).unwrap();
    let backend = std::sync::Arc::new(LocalBackend::new("local", &file));
    populate(&site.db, &*backend, users).await;

    let said = site.sandbox.path("rewrap.log");
    let (mut target, mut completed, mut kills, mut halfway) = (1, 0, 0, 0);
    while kills < wanted {
        let to = format!("local:{}", names[target]);
        let log = File::create(&said).unwrap();
        let mut run = site
            .sandbox
            .admin_command(&["keys", "rewrap", "--yes", "--json", "--to", &to, "--batch-size", "100"])
            .args(["--max-rate", rate])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let moment = Duration::from_millis(rand::random_range(100..longest));
        tokio::time::sleep(moment).await;
        if let Some(status) = run.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0), "{}", fs::read_to_string(&said).unwrap());
            assert!(site.data_keys().await.iter().all(|key| key.kek_id == to));
            completed += 1;
            target = 1 - target;
        } else {
            run.kill().unwrap();
            run.wait().unwrap();
            kills += 1;
        }
        everybody_is_readable(&site, backend.clone(), users).await;
        let moved = site.data_keys().await.iter().filter(|key| key.kek_id == to).count();
        halfway += usize::from((1..users).contains(&moved));
    }
    assert!(halfway > wanted / 4, "only {halfway} of the kills hit a run in the middle");
    tracing::info!(completed, halfway, "the runs");
    let to = format!("local:{}", names[target]);
    let finished = site.done(&["keys", "rewrap", "--yes", "--json", "--to", &to]);
    assert_eq!(finished["left"], 0, "{finished}");
    site.verify(users);
}

/// Each is there once, and opens.
async fn everybody_is_readable(site: &Site, backend: std::sync::Arc<dyn KeyBackend>, users: usize) {
    let keyring = Keyring::new(
        site.db.clone(),
        Backends::new(backend, Vec::new(), &KeysConfig::default(), KeyMetrics::default()),
        &KeysConfig::default(),
        KeyMetrics::default(),
    );
    let all = Users::new(site.db.clone(), keyring).verify().sample(users as u64 + 1).await.unwrap();
    assert!(all.faults.is_empty(), "{:?}", all.faults);
    assert_eq!((all.subjects, all.data_keys, all.attributes), (users as u64, users as u64, 2 * users as u64));
}
