//! A throwaway LocalStack: a real one, one per process, on a port and in a directory of its own; or the one
//! that `OUBLIETTE_TEST_KMS_ENDPOINT` names.
//!
//! Like PostgreSQL's (see `postgres.rs`), it is owned by a shell that reads from a pipe whose other end only
//! this process holds: when the pipe ends, for whatever reason, LocalStack does, too.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use aws_sdk_kms::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region},
    types::{KeySpec, KeyUsageType},
};
use oubliette::config::{AwsCredentials, AwsKmsConfig};

use super::postgres::free_port;

const REGION: &str = "us-east-1";

/// Arguments: the directory to make, the interpreter, the port. Says `ready` when KMS answers.
const WATCHDOG: &str = r#"
directory=$1 python=$2 port=$3
umask 077
trap '' PIPE
mkdir "$directory" && cd "$directory" || exit 1
export SERVICES=kms,s3 EAGER_SERVICE_LOADING=1 SKIP_SSL_CERT_DOWNLOAD=1 DISABLE_EVENTS=1
export GATEWAY_LISTEN="127.0.0.1:$port" LOCALSTACK_VOLUME_DIR="$directory/volume" TMPDIR="$directory"
setsid "$python" -m localstack.runtime.main </dev/null >"$directory/server.log" 2>&1 &
server=$!
health="import sys, urllib.request as r; sys.exit(b'\"kms\": \"running\"' not in r.urlopen('http://127.0.0.1:$port/_localstack/health', timeout=5).read())"
attempts=0
until "$python" -c "$health" 2>/dev/null; do
    attempts=$((attempts + 1))
    if [ $attempts -gt 300 ] || ! kill -0 $server 2>/dev/null; then echo failed; break; fi
    sleep 0.3
done
echo ready
read -r _
kill -KILL -- -$server 2>/dev/null
cd / && rm -rf "$directory"
"#;

/// The LocalStack of this process, started by the first call.
///
/// # Panics
///
/// If it is not installed, or does not start.
pub(crate) fn localstack() -> &'static LocalStack {
    static SERVER: OnceLock<LocalStack> = OnceLock::new();
    SERVER.get_or_init(LocalStack::launch)
}

/// A running LocalStack, with KMS only.
#[derive(Debug)]
pub(crate) struct LocalStack {
    endpoint: String,
    /// Dropping it, at the end of the process, ends the server.
    _watchdog: Option<Child>,
}

impl LocalStack {
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Runs a ready hook of docker-compose.yml here, as LocalStack's container would.
    pub(crate) fn run_hook(&self, name: &str) {
        let hook = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/localstack/ready.d").join(name);
        let ran = Command::new(interpreter()).arg(hook).env("AWS_ENDPOINT_URL", &self.endpoint).status();
        assert!(ran.unwrap().success());
    }

    /// The configuration of a backend on a wrapping key: an id, an alias, or an ARN.
    pub(crate) fn backend_config(&self, key_id: &str) -> AwsKmsConfig {
        AwsKmsConfig {
            key_id: key_id.to_owned(),
            mac_key_id: None,
            region: Some(REGION.to_owned()),
            profile: None,
            endpoint_url: Some(self.endpoint.parse().unwrap()),
            credentials: AwsCredentials::Test,
            context: BTreeMap::from([("app".to_owned(), "oubliette-tests".to_owned())]),
            // A machine that is busy with tests answers late.
            connect_timeout: std::time::Duration::from_secs(5),
            attempt_timeout: std::time::Duration::from_secs(20),
            max_attempts: 3.try_into().unwrap(),
        }
    }

    /// Makes a wrapping key, and gives its ARN.
    pub(crate) async fn create_key(&self) -> String {
        let created = self.admin(REGION).create_key().send().await.unwrap();
        created.key_metadata.unwrap().arn.unwrap()
    }

    /// A key that wraps nothing: RSA.
    pub(crate) async fn create_rsa_key(&self) -> String {
        let admin = self.admin(REGION);
        let create = admin.create_key().key_spec(KeySpec::Rsa2048).key_usage(KeyUsageType::EncryptDecrypt);
        create.send().await.unwrap().key_metadata.unwrap().arn.unwrap()
    }

    /// A key that makes MACs, and wraps nothing.
    pub(crate) async fn create_mac_key(&self) -> String {
        let admin = self.admin(REGION);
        let create = admin.create_key().key_spec(KeySpec::Hmac256).key_usage(KeyUsageType::GenerateVerifyMac);
        create.send().await.unwrap().key_metadata.unwrap().arn.unwrap()
    }

    /// A multi-Region key here and its replica there.
    pub(crate) async fn create_replicated_key(&self, region: &str) -> (String, String) {
        let admin = self.admin(REGION);
        let key = admin.create_key().multi_region(true).send().await.unwrap().key_metadata.unwrap();
        let replica = admin.replicate_key().key_id(&key.key_id).replica_region(region).send().await.unwrap();
        (key.arn.unwrap(), replica.replica_key_metadata.unwrap().arn.unwrap())
    }

    pub(crate) async fn create_alias(&self, alias: &str, arn: &str) {
        self.admin(REGION).create_alias().alias_name(alias).target_key_id(arn).send().await.unwrap();
    }

    pub(crate) async fn point_alias(&self, alias: &str, arn: &str) {
        // LocalStack 4.7.0 takes the ARN here, and does not find the key afterwards.
        let id = arn.rsplit('/').next().unwrap();
        self.admin(REGION).update_alias().alias_name(alias).target_key_id(id).send().await.unwrap();
    }

    pub(crate) async fn disable(&self, arn: &str) {
        self.admin(REGION).disable_key().key_id(arn).send().await.unwrap();
    }

    pub(crate) async fn enable(&self, arn: &str) {
        self.admin(REGION).enable_key().key_id(arn).send().await.unwrap();
    }

    /// Changes the material behind the ARN.
    pub(crate) async fn rotate(&self, arn: &str) {
        self.admin(REGION).rotate_key_on_demand().key_id(arn).send().await.unwrap();
    }

    pub(crate) async fn schedule_deletion(&self, arn: &str) {
        self.admin(REGION).schedule_key_deletion().key_id(arn).send().await.unwrap();
    }

    /// A new one for each call, since each test has a runtime of its own.
    fn admin(&self, region: &'static str) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .endpoint_url(&self.endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build();
        Client::from_conf(config)
    }

    fn launch() -> Self {
        if let Ok(endpoint) = std::env::var("OUBLIETTE_TEST_KMS_ENDPOINT") {
            return Self { endpoint, _watchdog: None };
        }
        let python = interpreter();
        let port = free_port();
        let name = format!("oubliette-localstack-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let directory = std::env::temp_dir().join(name);
        let mut shell = Command::new("sh")
            .args(["-c", WATCHDOG, "oubliette-localstack-watchdog"])
            .args([&directory, &python])
            .arg(port.to_string())
            .current_dir("/")
            // Out of reach of the terminal's Ctrl-C, which would end it before it has cleaned up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the shell that watches over LocalStack starts");
        let mut answer = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut answer).unwrap();
        let log = || fs::read_to_string(directory.join("server.log")).unwrap_or_default();
        assert_eq!(answer, "ready\n", "LocalStack does not start:\n{}", log());
        Self { endpoint: format!("http://127.0.0.1:{port}"), _watchdog: Some(shell) }
    }
}

/// Python in the virtual environment that `tests/run` makes.
fn interpreter() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project.join("target"), PathBuf::from);
    let python = target.join("localstack/bin/python");
    assert!(
        python.exists(),
        "LocalStack is not installed. `tests/run` installs it; or by hand: \
         python3.11 -m venv target/localstack && \
         target/localstack/bin/pip install -r tests/localstack/requirements.txt; \
         or set OUBLIETTE_TEST_KMS_ENDPOINT to the URL of one that runs"
    );
    python
}
