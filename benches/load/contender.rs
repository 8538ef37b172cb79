//! A server under test: how it is started, and that it ends.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::client::{Connection, get_request};
use crate::options::Options;
use crate::{bare, postgres};

/// Far more than any server needs, even a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long to wait between two looks at whether the server is healthy: the resolution of its start time.
const INTERVAL: Duration = Duration::from_millis(1);

/// A limit that nothing here reaches.
const PLENTY: &str = "100000000";

/// How to start one of the two servers, as often as needed.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    address: SocketAddr,
    credential: Option<String>,
    log: PathBuf,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    credential: Option<String>,
    /// From the start of its process to the first healthy answer.
    pub(crate) started_in: Duration,
}

impl Contender {
    /// Oubliette in the profile `local`, so without access control, but on PostgreSQL, and without an audit trail of
    /// reads. It logs to a file.
    pub(crate) fn oubliette(database: &str, directory: &Path, options: &Options) -> Self {
        let address = free_address();
        let none_open = options.cold.then(|| ("OUBLIETTE_KEYS__CACHE__MAX_ENTRIES", "1".to_owned()));
        let environment = [
            ("OUBLIETTE_PROFILE", "local".to_owned()),
            ("OUBLIETTE_HTTP__LISTEN", address.to_string()),
            ("OUBLIETTE_DATABASE__URL", database.to_owned()),
            ("OUBLIETTE_DATABASE__MAX_CONNECTIONS", options.pool.to_string()),
            ("OUBLIETTE_KEYS__BACKENDS__LOCAL__FILE", path(directory, "keys.toml")),
            ("OUBLIETTE_AUDIT__READS", "off".to_owned()),
        ];
        Self {
            name: "Oubliette",
            program: env!("CARGO_BIN_EXE_oubliette").into(),
            arguments: vec![format!("--config-dir={}/config", env!("CARGO_MANIFEST_DIR"))],
            environment: environment.into_iter().chain(none_open).collect(),
            address,
            credential: None,
            log: directory.join("oubliette.log"),
        }
    }

    /// Another commit's server, on the same keys, likewise. It has no limits, as far as each commit has them.
    pub(crate) fn before(folder: &Path, database: &str, directory: &Path, options: &Options) -> Self {
        let mut before = Self::oubliette(database, directory, options)
            .with("OUBLIETTE_LIMITS__REQUESTS_PER_SECOND_PER_ADDRESS", "0")
            .with("OUBLIETTE_LIMITS__REQUESTS_PER_SECOND_PER_TOKEN", "0");
        before.name = "before";
        // The profile of the benches, if that commit has it: a program with thin LTO would be slower by that.
        let dist = folder.join("target/dist/oubliette");
        before.program = if dist.exists() { dist } else { folder.join("target/release/oubliette") };
        before.arguments = vec![format!("--config-dir={}", folder.join("config").display())];
        before.log = directory.join("before.log");
        before
    }

    /// The same with limits on requests that count, and are never reached.
    pub(crate) fn counting(self) -> Self {
        self.with("OUBLIETTE_LIMITS__REQUESTS_PER_SECOND_PER_ADDRESS", PLENTY)
            .with("OUBLIETTE_LIMITS__REQUESTS_PER_SECOND_PER_TOKEN", PLENTY)
            .with("OUBLIETTE_LIMITS__LOOKS_PER_SECOND_PER_TOKEN", PLENTY)
    }

    /// The same with access tokens, a limit on subjects that counts and is never reached, and an audit trail of reads. Its
    /// address and its log are its own; its database must be up to date.
    pub(crate) fn guarded(&self, name: &'static str, reads: &str) -> anyhow::Result<Self> {
        let address = free_address();
        let mut guarded =
            Self { name, address, log: self.log.with_file_name(format!("{reads}.log")), ..self.clone() };
        guarded.environment.extend([
            ("OUBLIETTE_HTTP__LISTEN", address.to_string()),
            ("OUBLIETTE_AUTH__MODE", "tokens".to_owned()),
            ("OUBLIETTE_AUDIT__READS", reads.to_owned()),
            ("OUBLIETTE_LIMITS__SUBJECTS_PER_MINUTE", PLENTY.to_owned()),
        ]);
        guarded.credential = Some(guarded.token(reads, "users:read,pii:read,users:find")?);
        Ok(guarded)
    }

    /// The same at another address, with a log of its own.
    pub(crate) fn elsewhere(&self) -> Self {
        let (address, mut environment) = (free_address(), self.environment.clone());
        environment.push(("OUBLIETTE_HTTP__LISTEN", address.to_string()));
        Self { address, environment, log: self.log.with_extension("elsewhere.log"), ..self.clone() }
    }

    /// Makes an access token.
    pub(crate) fn token(&self, name: &str, scopes: &str) -> anyhow::Result<String> {
        let mut create = self.command_of(Path::new(env!("CARGO_BIN_EXE_oubliette-admin")));
        create.args(["tokens", "create", "--name", name, "--scopes", scopes]);
        let created = create.stderr(Stdio::inherit()).output()?;
        ensure!(created.status.success(), "no token was created: {}", created.status);
        Ok(String::from_utf8(created.stdout)?.trim().to_owned())
    }

    /// The same without limits on requests and looks, which the bare server has not.
    pub(crate) fn unlimited(self) -> Self {
        self.with("OUBLIETTE_LIMITS__REQUESTS_PER_SECOND_PER_ADDRESS", "0")
            .with("OUBLIETTE_LIMITS__REQUESTS_PER_SECOND_PER_TOKEN", "0")
            .with("OUBLIETTE_LIMITS__LOOKS_PER_SECOND_PER_TOKEN", "0")
    }

    /// The same with another setting.
    pub(crate) fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.environment.push((variable, value.to_owned()));
        self
    }

    /// The bare server, which is this very program with another argument.
    pub(crate) fn bare(database: &str, directory: &Path, options: &Options) -> anyhow::Result<Self> {
        let address = free_address();
        Ok(Self {
            name: "bare",
            program: std::env::current_exe()?,
            arguments: vec![
                bare::COMMAND.to_owned(),
                format!("--listen={address}"),
                format!("--database-url={database}"),
                format!("--max-connections={}", options.pool),
            ],
            environment: Vec::new(),
            address,
            credential: None,
            log: directory.join("bare.log"),
        })
    }

    /// Starts the server and waits until it is healthy.
    pub(crate) async fn start(&self) -> anyhow::Result<Running> {
        let log = File::create(&self.log)?;
        let mut command = self.command_of(&self.program);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let begin = Instant::now();
        let child = command.spawn().with_context(|| format!("starting {}", self.program.display()))?;
        let credential = self.credential.clone();
        let mut running = Running { child, address: self.address, credential, started_in: Duration::ZERO };
        while !healthy(self.address).await {
            let ended = running.child.try_wait()?;
            if ended.is_some() || begin.elapsed() > PATIENCE {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("{} does not become healthy ({ended:?}):\n{log}", self.name);
            }
            tokio::time::sleep(INTERVAL).await;
        }
        running.started_in = begin.elapsed();
        Ok(running)
    }

    /// `setpriv` asks Linux to kill the server should we die first; then it becomes the server.
    fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(&self.arguments);
        let inherited = std::env::vars_os().map(|(name, _)| name);
        for name in inherited.filter(|name| is_setting(name)) {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Running {
    /// Its process id.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// What its callers prove themselves with, if they must.
    pub(crate) fn credential(&self) -> Option<&str> {
        self.credential.as_deref()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It fails only if the server has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The caller's settings for Oubliette, and for logs and backtraces, must not leak into the run.
fn is_setting(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("OUBLIETTE_") || name.starts_with("RUST_")
}

fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, postgres::free_port()))
}

fn path(directory: &Path, file: &str) -> String {
    directory.join(file).display().to_string()
}

async fn healthy(address: SocketAddr) -> bool {
    let Ok(mut connection) = Connection::open(address).await else { return false };
    let answer = connection.ask(&get_request("/healthz")).await;
    answer.is_ok_and(|answer| answer.status == 200)
}
