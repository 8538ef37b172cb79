//! A sink in S3, for real: LocalStack's.

use super::*;
use crate::harness::localstack;

/// A bucket of a test's own.
pub(super) struct Bucket(String);

impl Bucket {
    pub(super) async fn create(name: &str) -> Self {
        let name = format!("{name}-{:016x}", rand::random::<u64>());
        let put =
            reqwest::Client::new().put(format!("{}/{name}", localstack().endpoint())).send().await.unwrap();
        assert!(put.status().is_success(), "{}", put.text().await.unwrap());
        Self(name)
    }

    /// The host and port of the service.
    pub(super) fn address() -> String {
        localstack().endpoint().trim_start_matches("http://").to_owned()
    }

    /// The configuration of a sink.
    pub(super) fn sink(&self, name: &str, prefix: &str, endpoint: &str) -> String {
        format!(
            "[ledger.sinks.{name}]\nurl = \"s3://{}/{prefix}\"\nendpoint_url = \"{endpoint}\"\nregion = \"us-east-1\"\n",
            self.0
        )
    }

    /// Who may use it.
    pub(super) fn environment(sandbox: Sandbox) -> Sandbox {
        sandbox.with_env("AWS_ACCESS_KEY_ID", "test").with_env("AWS_SECRET_ACCESS_KEY", "test")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_forgets_again_by_a_sink_in_s3() {
    let bucket = Bucket::create("ledger").await;
    let mut scene =
        Scene::with_sinks(TestStack::postgres(), &bucket.sink("one", "some/prefix", localstack().endpoint()));
    scene.sandbox = Bucket::environment(scene.sandbox);
    let servers = [scene.start().await, scene.start().await];
    let ids = create(&servers[0], 20).await;
    let sequences = async |sequence: i64| {
        soon("it is published", async || scene.status().1["sinks"][0]["sequence"] == json!(sequence)).await;
    };
    join_all(ids[..4].iter().enumerate().map(async |(n, id)| forget(&servers[n % 2], id).await)).await;
    sequences(4).await;
    for server in servers {
        stop(server).await;
    }
    let backup = scene.backup();
    let server = scene.start().await;
    let places = join_all(ids[4..10].iter().map(async |id| forget(&server, id).await)).await;
    sequences(10).await;
    stop(server).await;
    scene.restore(&backup);
    let server = scene.start().await;
    for (id, place) in ids[4..10].iter().zip(&places) {
        assert_eq!(code(&server, id).await, "FORGOTTEN");
        assert_eq!(erasure(&server, id).await, *place);
    }
    is_ready(&server).await;
    assert_eq!(scene.state(), "good");
    let log = server.log();
    assert!(!log.contains("AWS_SECRET"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_is_said() {
    let sinks = format!(
        "[ledger.sinks.one]\nurl = \"s3://none-{:016x}\"\nendpoint_url = \"{}\"\n",
        rand::random::<u64>(),
        localstack().endpoint()
    );
    let mut scene = Scene::with_sinks(TestStack::sqlite(), &sinks);
    scene.sandbox = Bucket::environment(scene.sandbox);
    let server = scene.start().await;
    let id = create(&server, 10).await.remove(0);
    assert_eq!(forget(&server, &id).await.sequence, 1);
    soon("it is said", async || server.log().contains("NoSuchBucket")).await;
    assert_ne!(readyz(&server).await.1, "ok");
}
