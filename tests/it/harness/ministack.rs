//! A second emulator of AWS, for what LocalStack lacks: keys in KMS that sign with Ed25519.

use std::{
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::{
    Client,
    config::Credentials,
    types::{KeySpec, KeyUsageType},
};
use tempfile::TempDir;

use super::postgres::free_port;

/// Longest wait for it to answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A ministack of a test's own.
#[derive(Debug)]
pub(crate) struct Ministack {
    port: u16,
    server: Child,
    _folder: TempDir,
}

impl Ministack {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not start.
    pub(crate) fn launch() -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project.join("target"), Into::into);
        let program = target.join("ministack/bin/ministack");
        assert!(
            program.exists(),
            "ministack is not installed. `tests/run` installs it; or by hand: python3.11 -m venv target/ministack && \
             target/ministack/bin/pip install -r tests/ministack/requirements.txt"
        );
        let (port, folder) = (free_port(), TempDir::new().unwrap());
        let server = Command::new(program)
            .env("GATEWAY_PORT", port.to_string())
            .env("TMPDIR", folder.path())
            .env("SERVICES", "kms")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < PATIENCE, "ministack does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { port, server, _folder: folder }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The id of a new key that signs.
    pub(crate) async fn create_signing_key(&self, spec: KeySpec) -> String {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(self.endpoint())
            .credentials_provider(Credentials::new("test", "test", None, None, "ministack"))
            .load()
            .await;
        let client = Client::new(&config);
        let made =
            client.create_key().key_spec(spec).key_usage(KeyUsageType::SignVerify).send().await.unwrap();
        made.key_metadata.unwrap().key_id
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
