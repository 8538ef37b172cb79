//! A wrapping key is retired while somebody is about to use it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use oubliette::{
    KeyMetrics,
    audit::Origin,
    config::KeysConfig,
    database::Before,
    envelope::SubjectId,
    keys::{
        Backends, Keyring, KeyringError,
        local::{KeyFile, LocalBackend},
        sweep::{Controls, SweepOptions, Tally},
    },
    users::{User, UserError, Users},
};
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    EMAIL, Person, Site, TestBackend, TestStack, change_of_email, on_both_databases, populate,
};

on_both_databases!(
    a_data_key_made_before_its_wrapping_key_was_retired_is_not_stored,
    a_rotation_does_not_bring_data_keys_under_a_retired_key,
    an_update_that_waits_for_its_data_key_is_sealed_under_the_new_one,
    a_server_that_sees_an_old_key_file_stores_nothing_under_a_retired_key,
    a_retirement_says_what_needs_the_key_and_can_be_undone,
    a_rewrap_activates_its_target_and_stops_when_that_is_retired,
);

const PATIENCE: Duration = Duration::from_secs(30);

/// Another server on the site's database, in this process, whose backend can be held up.
pub(super) fn server_on(site: &Site, key_file: &str) -> (Users, Arc<TestBackend>) {
    let file = KeyFile::read(&site.sandbox.path(key_file)).unwrap();
    let backend = Arc::new(TestBackend::over(Arc::new(LocalBackend::new("local", &file))));
    let config = KeysConfig { call_timeout: PATIENCE, ..KeysConfig::default() };
    let backends = Backends::new(backend.clone(), Vec::new(), &config, KeyMetrics::default());
    let keyring = Keyring::new(site.db.clone(), backends, &config, KeyMetrics::default());
    tokio::spawn(keyring.clone().maintain());
    (Users::new(site.db.clone(), keyring), backend)
}

async fn create(users: &Users, person: &Person) -> Result<User, UserError> {
    let new = person.new_user();
    users.create(new, &Origin::new("a test")).await
}

async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn primary(site: &Site) -> String {
    KeyFile::read(&site.sandbox.path("data/local.toml")).unwrap().primary().to_owned()
}

/// The runbook, up to the retirement of the old key. Nothing may go wrong.
fn change_wrapping_key(site: &Site, old: &str) {
    for arguments in [&["keys", "local", "add", "--name", "next"][..], &["keys", "local", "promote", "next"]]
    {
        site.sandbox.admin_ok(arguments);
    }
    site.done(&["keys", "rewrap", "--yes", "--json"]);
    site.done(&["keys", "verify", "--json"]);
    let retired = site.sandbox.admin_ok(&["keys", "local", "retire", old, "--yes"]);
    assert_eq!(retired, format!("local:{old} is retired\n"));
}

async fn all_are_under_next(site: &Site, users: usize) {
    let keys = site.data_keys().await;
    assert_eq!(keys.len(), users);
    assert!(keys.iter().all(|key| key.kek_id == "local:next"), "{keys:?}");
    site.verify(users);
}

async fn a_data_key_made_before_its_wrapping_key_was_retired_is_not_stored(stack: TestStack) {
    let (site, local) = Site::on_local_keys(stack).await;
    populate(&site.db, &local, 3).await;
    let old = primary(&site);
    let (users, backend) = server_on(&site, "data/local.toml");
    backend.hold_made();
    let person = Person::new();
    let creating = tokio::spawn(async move { create(&users, &person).await });
    wait_until("a data key is made", || backend.generated() == 1).await;
    change_wrapping_key(&site, &old);
    backend.release_made();
    creating.await.unwrap().unwrap();
    assert_eq!(backend.generated(), 2, "a new data key was made, under the wrapping key that is current now");
    all_are_under_next(&site, 4).await;
}

/// The same where the transaction has begun already, and waits for a lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_waits_for_a_table_does_not_bring_a_data_key_under_a_retired_key() {
    let (site, local) = Site::on_local_keys(TestStack::postgres()).await;
    populate(&site.db, &local, 3).await;
    let old = primary(&site);
    let (users, backend) = server_on(&site, "data/local.toml");
    let locking = site.db.begin().await.unwrap();
    locking.execute_unprepared("LOCK TABLE users IN SHARE MODE").await.unwrap();
    let person = Person::new();
    let creating = tokio::spawn(async move { create(&users, &person).await });
    wait_until("a data key is made", || backend.generated() == 1).await;
    change_wrapping_key(&site, &old);
    locking.commit().await.unwrap();
    creating.await.unwrap().unwrap();
    all_are_under_next(&site, 4).await;
}

async fn a_rotation_does_not_bring_data_keys_under_a_retired_key(stack: TestStack) {
    let (site, local) = Site::on_local_keys(stack).await;
    populate(&site.db, &local, 3).await;
    let old = primary(&site);
    let (users, backend) = server_on(&site, "data/local.toml");
    let before = Before::ask(&site.db, None).await.unwrap();
    let rotate = users.rotate(None, before, Origin::new("a test"));
    backend.hold_made();
    let rotating = tokio::spawn(async move { Box::pin(rotate.run(&options(), &controls())).await });
    wait_until("data keys are made", || backend.generated() == 3).await;
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "next"]);
    site.sandbox.admin_ok(&["keys", "local", "promote", "next"]);
    let retiring = site.sandbox.admin(&["keys", "retire", &format!("local:{old}"), "--yes"]);
    assert_eq!(retiring.status, Some(1), "what is to be rotated is under it still");
    backend.release_made();
    let report = rotating.await.unwrap().unwrap();
    assert_eq!((report.left, &report.stops[..]), (0, &[][..]));
    let retired = site.sandbox.admin_ok(&["keys", "local", "retire", &old, "--yes"]);
    assert_eq!(retired, format!("local:{old} is retired\n"));
    assert!(site.data_keys().await.iter().all(|key| key.version == 2));
    all_are_under_next(&site, 3).await;
}

async fn an_update_that_waits_for_its_data_key_is_sealed_under_the_new_one(stack: TestStack) {
    let (site, local) = Site::on_local_keys(stack).await;
    let people = populate(&site.db, &local, 2).await;
    let old = primary(&site);
    let (users, backend) = server_on(&site, "data/local.toml");
    backend.hold();
    let subject = SubjectId::from(people[0].0);
    let updating = tokio::spawn({
        let users = users.clone();
        async move {
            let changes = change_of_email("new@example.com");
            users.update(subject, changes, &Origin::new("a test")).await
        }
    });
    wait_until("the data key is being unwrapped", || backend.unwrapped() == 1).await;
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "next"]);
    site.sandbox.admin_ok(&["keys", "local", "promote", "next"]);
    site.done(&["keys", "rotate", "--all", "--yes", "--json"]);
    let retired = site.sandbox.admin_ok(&["keys", "local", "retire", &old, "--yes"]);
    assert_eq!(retired, format!("local:{old} is retired\n"));
    backend.release();
    updating.await.unwrap().unwrap();
    all_are_under_next(&site, 2).await;
    let (users, _) = server_on(&site, "data/local.toml");
    let email = users.find(subject).await.unwrap().unwrap().open(&EMAIL).await.unwrap();
    assert_eq!(email.unwrap().into_exposed(), "new@example.com");
}

/// A key file that is mounted as a single file is replaced below the server, which goes on seeing the old one.
async fn a_server_that_sees_an_old_key_file_stores_nothing_under_a_retired_key(stack: TestStack) {
    let (site, local) = Site::on_local_keys(stack).await;
    let people = populate(&site.db, &local, 3).await;
    let old = primary(&site);
    std::fs::copy(site.sandbox.path("data/local.toml"), site.sandbox.path("data/seen.toml")).unwrap();
    let (users, backend) = server_on(&site, "data/seen.toml");
    let subject = SubjectId::from(people[0].0);
    users.find(subject).await.unwrap().unwrap().open(&EMAIL).await.unwrap();
    change_wrapping_key(&site, &old);
    let refused = create(&users, &Person::new()).await.unwrap_err();
    let UserError::Keys(cause) = &refused else { panic!("{refused}") };
    assert!(matches!(**cause, KeyringError::Inactive(_)), "{cause}");
    assert_eq!(
        cause.to_string(),
        format!("the wrapping key `local:{old}` is retired: nothing new is wrapped under it")
    );
    assert_eq!(backend.generated(), 2, "it looked once more");
    // What it has open it still reads, and changes.
    users.find(subject).await.unwrap().unwrap().open(&EMAIL).await.unwrap();
    let changes = change_of_email("x@example.com");
    users.update(subject, changes, &Origin::new("a test")).await.unwrap();
    all_are_under_next(&site, 3).await;
}

async fn a_retirement_says_what_needs_the_key_and_can_be_undone(stack: TestStack) {
    let (site, local) = Site::on_local_keys(stack).await;
    populate(&site.db, &local, 2).await;
    let old = format!("local:{}", primary(&site));
    let state = || {
        let status: Value =
            serde_json::from_str(&site.sandbox.admin_ok(&["keys", "status", "--json"])).unwrap();
        let keks = status["wrapping_keys"].as_array().unwrap().clone();
        keks.into_iter().find(|kek| kek["kek_id"] == *old).map(|kek| kek["state"].clone())
    };
    let retire = |more: &[&str]| site.sandbox.admin(&[&["keys", "retire", &old], more].concat());

    let current = retire(&["--yes"]);
    assert_eq!(current.status, Some(1));
    assert!(current.stderr.contains("is the wrapping key of new data keys: first make another one current"));
    let unknown = site.sandbox.admin_error(&["keys", "retire", "local:nobody", "--yes"]);
    assert!(
        unknown.contains("no data key was ever under local:nobody, and no configured key backend has it")
    );
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "next"]);
    site.sandbox.admin_ok(&["keys", "local", "promote", "next"]);

    let needed = retire(&["--yes", "--json"]);
    assert_eq!(needed.status, Some(1), "{}", needed.stderr);
    let expected = json!({ "kek_id": old, "state": "retiring", "data_keys": 2, "index_keys": 0 });
    assert_eq!(serde_json::from_str::<Value>(&needed.stdout).unwrap(), expected);
    assert_eq!(state().unwrap(), "retiring");
    site.verify(2);
    // Made current again, it may wrap again.
    site.sandbox.admin_ok(&["keys", "local", "promote", &old]);
    assert_eq!(state().unwrap(), "active");
    site.sandbox.admin_ok(&["keys", "local", "promote", "next"]);
    assert_eq!(retire(&["--yes"]).status, Some(1));
    let undone = retire(&["--undo"]);
    assert_eq!((undone.status, undone.stdout), (Some(0), format!("data keys may come under {old} again\n")));
    assert_eq!(retire(&["--undo"]).stdout, format!("{old} is not being retired: nothing was done\n"));
    assert_eq!(state().unwrap(), "active");

    site.done(&["keys", "rewrap", "--yes", "--json"]);
    assert_eq!(state().unwrap(), "active", "nothing is under it, and something may come");
    let retired = retire(&["--yes"]);
    assert!(
        retired.stdout.starts_with(&format!("{old} is retired: no data key of this database is under it"))
    );
    assert_eq!(state(), None, "what is done with is not listed");
    // As after a restore, which brings data keys back and not the state.
    let put = async |kek_id: &str| {
        site.db.execute_unprepared(&format!("UPDATE data_keys SET kek_id = '{kek_id}'")).await.unwrap();
    };
    put(&old).await;
    let needed = retire(&["--yes", "--json"]);
    let expected = json!({ "kek_id": old, "state": "retired", "data_keys": 2, "index_keys": 0 });
    assert_eq!(serde_json::from_str::<Value>(&needed.stdout).unwrap(), expected);
    assert_eq!(needed.status, Some(1));
    put("local:next").await;
    for arguments in [&["keys", "local", "promote", &old][..], &["keys", "rewrap", "--to", &old, "--yes"]] {
        let error = site.sandbox.admin(arguments).stderr;
        assert!(error.contains(&format!("the wrapping key `{old}` is retired")), "{error}");
    }
    site.sandbox.admin_ok(&["keys", "local", "retire", &old, "--yes"]);
    let name = old.strip_prefix("local:").unwrap();
    let error = site.sandbox.admin_error(&["keys", "local", "add", "--name", name]);
    assert!(error.contains(&format!("there was a wrapping key {old} already")), "{error}");

    let events = site.sandbox.admin_ok(&["audit", "export"]);
    let actions: Vec<_> = events
        .lines()
        .map(|line| line.split('\t').nth(2).unwrap())
        .filter(|action| ["key_retiring", "key_retired", "key_reactivated"].contains(action))
        .collect();
    let expected =
        ["key_retiring", "key_reactivated", "key_retiring", "key_reactivated", "key_retiring", "key_retired"];
    assert_eq!(actions, expected);
}

async fn a_rewrap_activates_its_target_and_stops_when_that_is_retired(stack: TestStack) {
    let (site, local) = Site::on_local_keys(stack).await;
    populate(&site.db, &local, 50).await;
    let old = format!("local:{}", primary(&site));
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "other"]);
    let retiring = site.sandbox.admin(&["keys", "retire", "local:other", "--yes"]);
    assert_eq!(retiring.status, Some(0), "nothing was ever under it");
    site.sandbox.admin_ok(&["keys", "retire", "--undo", "local:other"]);
    site.done(&["keys", "rewrap", "--to", "local:other", "--yes", "--json"]);
    assert_eq!(site.sandbox.admin(&["keys", "retire", "local:other", "--yes"]).status, Some(1));
    let back = site.done(&["keys", "rewrap", "--from", "local:other", "--to", &old, "--yes", "--json"]);
    assert_eq!(back["done"], 50);
    // It is retiring: the target of a rewrap is active again.
    let moved = site.done(&["keys", "rewrap", "--to", "local:other", "--yes", "--json"]);
    assert_eq!(moved["done"], 50);

    // Retired while a run goes on.
    let slow = [
        "keys",
        "rewrap",
        "--from",
        "local:other",
        "--to",
        &old,
        "--yes",
        "--json",
        "--max-rate",
        "10",
        "--batch-size",
        "5",
    ];
    site.sandbox.admin_ok(&["keys", "local", "promote", "other"]);
    let retire = async {
        let began = Instant::now();
        while !site.data_keys().await.iter().any(|key| key.kek_id == old) {
            assert!(began.elapsed() < PATIENCE, "the run moves nothing");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let retired = site.sandbox.admin(&["keys", "retire", &old, "--yes"]);
        assert_eq!(retired.status, Some(1), "{}", retired.stderr);
    };
    let run = async {
        let mut command = site.sandbox.admin_command(&slow);
        let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap()
    };
    let (ran, ()) = tokio::join!(run, retire);
    assert_eq!(ran.status.code(), Some(1));
    let said = String::from_utf8(ran.stdout).unwrap();
    let result: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(result["outcome"], "stopped", "{result}");
    let stop = format!("the wrapping key `{old}` is retiring: nothing new is wrapped under it");
    assert_eq!(result["stops"], json!([stop]));
    site.verify(50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retirement_ends_beside_a_steady_stream_of_creations_rewraps_and_rotations() {
    let (site, local) = Site::on_local_keys(TestStack::postgres()).await;
    populate(&site.db, &local, 50).await;
    let old = primary(&site);
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "next"]);
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "third"]);
    site.sandbox.admin_ok(&["keys", "local", "promote", "next"]);
    site.done(&["keys", "rewrap", "--yes", "--json"]);
    let (users, _) = server_on(&site, "data/local.toml");
    let (over, created) = (AtomicBool::new(false), AtomicUsize::new(50));
    let stream = join_all((0..8).map(|_| async {
        while !over.load(SeqCst) {
            create(&users, &Person::new()).await.unwrap();
            created.fetch_add(1, SeqCst);
        }
    }));
    let work = async {
        while !over.load(SeqCst) {
            // Users are created faster than a run may follow: then it says that some are left.
            for arguments in [&["rewrap", "--to", "local:third"][..], &["rotate", "--all"]] {
                let arguments = [&["keys"], arguments, &["--yes", "--json"]].concat();
                let mut command = site.sandbox.admin_command(&arguments);
                let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
                let ran = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
                let said = String::from_utf8(ran.stdout).unwrap();
                let result: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
                assert_eq!((&result["failed"], &result["stops"]), (&json!(0), &json!([])), "{result}");
            }
        }
    };
    let retire = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        let mut command = site.sandbox.admin_command(&["keys", "retire", &format!("local:{old}"), "--yes"]);
        let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let retired = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
        let took = began.elapsed();
        over.store(true, SeqCst);
        (retired, took)
    };
    let (_, (), (retired, took)) = tokio::join!(stream, work, retire);
    assert!(retired.status.success(), "{}", String::from_utf8_lossy(&retired.stdout));
    assert!(took < Duration::from_secs(10), "{took:?}");
    site.verify(created.into_inner());
}

pub(super) fn options() -> SweepOptions {
    SweepOptions {
        batch_size: 10.try_into().unwrap(),
        concurrency: 10.try_into().unwrap(),
        max_rate: None,
        limit: None,
        patience: Duration::from_secs(1),
    }
}

pub(super) fn controls() -> Controls {
    Controls {
        stop: CancellationToken::new(),
        tally: Arc::new(Tally::default()),
        on_failure: Arc::new(|failure| panic!("{failure:?}")),
        on_wait: Arc::new(|_| ()),
    }
}
