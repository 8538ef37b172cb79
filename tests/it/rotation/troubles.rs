//! A run, and a backend that has a bad day.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use oubliette::{KeyMetrics, keys::aws_kms::AwsKmsBackend};
use serde_json::Value;

use crate::harness::{Fault, KmsProxy, Site, TestStack, kms_backend, kms_proxy, localstack, populate};

const USERS: usize = 600;
/// Nobody answers.
const OUTAGE: Duration = Duration::from_secs(4);

/// Users under one key, and a configuration whose active key is another.
async fn site(proxy: &KmsProxy) -> (Site, String, String) {
    let [old, new] = [localstack().create_key().await, localstack().create_key().await];
    let site = Site::new(TestStack::postgres(), "kms", &kms_backend("kms", &new, proxy)).await;
    let backend =
        AwsKmsBackend::new("kms", &localstack().backend_config(&old), KeyMetrics::default()).await.unwrap();
    populate(&site.db, &backend, USERS).await;
    (site, old, new)
}

const REWRAP: [&str; 8] = ["keys", "rewrap", "--yes", "--json", "--max-rate", "0", "--batch-size", "100"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_failures_and_an_outage_slow_a_run_and_do_not_end_it() {
    let proxy = kms_proxy().await;
    let (site, ..) = site(&proxy).await;
    let outage = OnceLock::new();
    proxy.script(move |number| match number {
        50..130 => Some(Fault::THROTTLED),
        400.. if outage.get_or_init(Instant::now).elapsed() < OUTAGE => Some(Fault::Reset),
        _ if rand::random_bool(0.05) => Some(Fault::Refused(500, "KMSInternalException")),
        _ => None,
    });
    let moved = tokio::task::block_in_place(|| site.done(&REWRAP));
    assert_eq!((&moved["done"], &moved["failed"], &moved["left"]), (&USERS.into(), &0.into(), &0.into()));
    assert!(moved["seconds"].as_f64().unwrap() > OUTAGE.as_secs_f64(), "it waited for the end of the outage");
    proxy.fail(None);
    site.verify(USERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_for_good_is_listed_and_stays_as_it_was() {
    let proxy = kms_proxy().await;
    let (site, old, new) = site(&proxy).await;
    let keys = site.data_keys().await;
    let broken = [&keys[3], &keys[250], &keys[599]];
    for key in broken {
        let sql = format!("UPDATE data_keys SET wrapped = '\\x00ff' WHERE subject_id = '{}'", key.subject_id);
        sea_orm::ConnectionTrait::execute_unprepared(&site.db, &sql).await.unwrap();
    }
    let arguments = [&REWRAP[..], &["--failures", "failed.jsonl"]].concat();
    let (finished, result) = tokio::task::block_in_place(|| site.result(&arguments));
    assert_eq!(finished.status, Some(1));
    assert_eq!((&result["done"], &result["failed"], &result["left"]), (&597.into(), &3.into(), &3.into()));
    assert_eq!(result["outcome"], "incomplete");
    let listed: Vec<Value> =
        site.sandbox.read("failed.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut subjects: Vec<_> = listed.iter().map(|failure| failure["subject"].as_str().unwrap()).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, broken.map(|key| key.subject_id.to_string()));
    assert!(listed.iter().all(|failure| failure["kek_id"] == old && failure["class"] == "context_mismatch"));
    for key in site.data_keys().await {
        let is_broken = broken.iter().any(|broken| broken.subject_id == key.subject_id);
        assert_eq!(key.kek_id, if is_broken { &*old } else { &*new });
        assert_eq!(key.wrapped == [0x00, 0xff], is_broken);
    }
    // For people: the same, with the subjects.
    let finished = tokio::task::block_in_place(|| site.sandbox.admin(&["keys", "rewrap", "--yes"]));
    assert_eq!(finished.status, Some(1));
    assert!(finished.stdout.contains("3 data keys FAILED, and are as they were"), "{}", finished.stdout);
    assert!(finished.stdout.contains(&broken[0].subject_id.to_string()), "{}", finished.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_hit_every_key_stops_the_run_at_once() {
    let proxy = kms_proxy().await;
    let (site, old, new) = site(&proxy).await;
    let keys = site.data_keys().await;
    let denied = Fault::Refused(400, "AccessDeniedException");
    proxy.fail_operation("ReEncrypt", denied);
    // A dry run finds out before a run does.
    let tried = tokio::task::block_in_place(|| site.sandbox.admin(&["keys", "rewrap", "--dry-run"]));
    assert_eq!(tried.status, Some(1));
    assert!(tried.stdout.contains("access denied"), "{}", tried.stdout);

    proxy.forget_counts();
    let (finished, result) = tokio::task::block_in_place(|| site.result(&REWRAP));
    assert_eq!((finished.status, &result["outcome"]), (Some(1), &"stopped".into()), "{result}");
    assert_eq!((&result["done"], &result["left"]), (&0.into(), &USERS.into()));
    assert!(result["stops"][0].as_str().unwrap().contains("access denied"), "{result}");
    // At most what was under way when the first answer came: four batches, of one batch's concurrency.
    assert!(proxy.calls("ReEncrypt") <= 100, "{} calls", proxy.calls("ReEncrypt"));
    proxy.fail(None);

    localstack().disable(&old).await;
    let (finished, result) = tokio::task::block_in_place(|| site.result(&REWRAP));
    assert_eq!((finished.status, &result["outcome"]), (Some(1), &"stopped".into()), "{result}");
    localstack().enable(&old).await;
    localstack().disable(&new).await;
    let error = tokio::task::block_in_place(|| site.sandbox.admin(&["keys", "rewrap", "--yes"]));
    assert_eq!(error.status, Some(1));
    assert!(error.stderr.contains("the wrapping key to move to cannot be used"), "{}", error.stderr);
    localstack().enable(&new).await;
    assert_eq!(site.data_keys().await, keys, "nothing was stored");
    let moved = tokio::task::block_in_place(|| site.done(&REWRAP));
    assert_eq!(moved["left"], 0);
    site.verify(USERS);
}

/// Fewer than `keys.max_concurrent_calls`, and more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_makes_as_many_calls_at_once_as_it_is_told() {
    let proxy = kms_proxy().await;
    let (site, old, new) = site(&proxy).await;
    let [rotate, verify] =
        [&["keys", "rotate", "--all", "--yes", "--max-rate", "0"][..], &["keys", "verify"]];
    let rewraps = [&old, &new].map(|to| [&REWRAP[..], &["--to", to]].concat());
    for (arguments, concurrency) in
        [(&rewraps[1][..], 3), (&rewraps[0], 90), (rotate, 4), (verify, 5), (verify, 90)]
    {
        let flag = ["--concurrency", &concurrency.to_string()];
        // So long that all of many calls have begun before the first ends, on a slow machine, too.
        proxy.fail((concurrency > 64).then_some(Fault::Slow(Duration::from_millis(200))));
        proxy.forget_counts();
        let finished = tokio::task::block_in_place(|| site.sandbox.admin(&[arguments, &flag].concat()));
        assert_eq!(finished.status, Some(0), "{}", finished.stderr);
        let most = proxy.most_in_flight();
        assert!((concurrency.min(65)..=concurrency).contains(&most), "{most}, {arguments:?}");
    }
}
