//! The real binaries, as real processes, in a working folder of their own.

use std::{
    fs::{self, File},
    io::{Read, Seek},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Person, client::client, server_log};

/// Longest wait for what a process should do at once. Generous, for busy machines.
const PATIENCE: Duration = Duration::from_secs(30);

/// The two programs.
#[derive(Clone, Debug)]
struct Programs {
    server: PathBuf,
    admin: PathBuf,
}

impl Programs {
    /// As the tests are built: without optimisation.
    fn debug() -> Self {
        Self {
            server: env!("CARGO_BIN_EXE_oubliette").into(),
            admin: env!("CARGO_BIN_EXE_oubliette-admin").into(),
        }
    }

    /// From the folder that `OUBLIETTE_TEST_OPTIMISED` names.
    fn optimised() -> Self {
        let folder = std::env::var_os("OUBLIETTE_TEST_OPTIMISED").expect(
            "no optimised programs in $OUBLIETTE_TEST_OPTIMISED; tests/run --long builds them, and so does: \
             cargo build --release && export OUBLIETTE_TEST_OPTIMISED=$PWD/target/release",
        );
        let folder = Path::new(&folder);
        Self { server: folder.join("oubliette"), admin: folder.join("oubliette-admin") }
    }
}

/// A working folder, and how the binaries are called in it. Nothing of our own environment reaches them.
#[derive(Debug)]
pub(crate) struct Sandbox {
    folder: Arc<TempDir>,
    programs: Programs,
    config_dir: PathBuf,
    profile: String,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
}

/// What a command that has ended said.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// With the configuration files of the repository, and the profile `local`.
    pub(crate) fn new() -> Self {
        Self {
            folder: Arc::new(TempDir::new().unwrap()),
            programs: Programs::debug(),
            config_dir: Path::new(env!("CARGO_MANIFEST_DIR")).join("config"),
            profile: "local".to_owned(),
            environment: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// With optimised programs, as users have them.
    pub(crate) fn optimised(mut self) -> Self {
        self.programs = Programs::optimised();
        self
    }

    /// The same folder, for programs that are called in another way.
    pub(crate) fn again(&self) -> Self {
        Self {
            folder: self.folder.clone(),
            programs: self.programs.clone(),
            config_dir: self.config_dir.clone(),
            profile: self.profile.clone(),
            environment: self.environment.clone(),
            wrapper: self.wrapper.clone(),
        }
    }

    /// With copies of the programs and of the configuration in the folder itself, for a user who may read nothing else.
    pub(crate) fn with_own_programs(mut self) -> Self {
        let copy = |program: &Path| {
            let own = self.path(&program.file_name().unwrap().to_string_lossy());
            fs::copy(program, &own).unwrap();
            own
        };
        self.programs = Programs { server: copy(&self.programs.server), admin: copy(&self.programs.admin) };
        let (profile, text) = (
            self.profile.clone(),
            fs::read_to_string(self.config_dir.join(format!("{}.toml", self.profile))).unwrap(),
        );
        self.with_profile(&profile, &text)
    }

    /// Runs all programs through this command.
    pub(crate) fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// On a machine whose clock differs from this one's, such as by `+1h`.
    pub(crate) fn with_clock(self, difference: &str) -> Self {
        // `faketime` itself would stay between, and be killed in place of the program.
        let asked = Command::new("faketime").args(["-f", difference, "printenv", "LD_PRELOAD"]).output();
        let library = asked.expect("`faketime` is missing: apt-get install faketime").stdout;
        let library = String::from_utf8(library).unwrap();
        self.with_env("LD_PRELOAD", library.trim())
            .with_env("FAKETIME", difference)
            // Time that passes is measured as ever.
            .with_env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// Adds a profile, beside those of the repository, and uses it.
    pub(crate) fn with_profile(mut self, name: &str, toml: &str) -> Self {
        let own = self.path("config");
        if self.config_dir != own {
            fs::create_dir(&own).unwrap();
            for entry in fs::read_dir(&self.config_dir).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), own.join(entry.file_name())).unwrap();
            }
            self.config_dir = own;
        }
        self.profile = name.to_owned();
        self.write(&format!("config/{name}.toml"), toml);
        self
    }

    pub(crate) fn with_env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    pub(crate) fn write(&self, relative: &str, text: &str) {
        fs::write(self.path(relative), text).unwrap();
    }

    /// `oubliette-admin`, ready to run.
    pub(crate) fn admin_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.programs.admin);
        command.args(arguments);
        command
    }

    /// Runs `oubliette-admin` to its end.
    pub(crate) fn admin(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.admin_command(arguments))
    }

    /// Runs an `oubliette-admin` that must succeed, and gives what it printed.
    pub(crate) fn admin_ok(&self, arguments: &[&str]) -> String {
        let finished = self.admin(arguments);
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        finished.stdout
    }

    /// Runs an `oubliette-admin` that must fail, and gives its error.
    pub(crate) fn admin_error(&self, arguments: &[&str]) -> String {
        let finished = self.admin(arguments);
        assert_eq!((finished.status, finished.stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
        finished.stderr
    }

    /// `oubliette`, ready to run.
    pub(crate) fn server_command(&self) -> Command {
        self.command(&self.programs.server)
    }

    /// Starts the server and waits until it serves.
    pub(crate) async fn start(&self) -> Server {
        self.start_with(&[]).await
    }

    pub(crate) async fn start_with(&self, arguments: &[&str]) -> Server {
        let mut process = self.spawn(arguments);
        let address = eventually("the server serves", || {
            let ended = process.child.try_wait().unwrap();
            assert_eq!(ended, None, "the server did not start: {}", process.log());
            process.address("address")
        })
        .await;
        process.url = Url::parse(&format!("http://{address}")).unwrap();
        process.metrics = process.address("metrics_address");
        process
    }

    /// Starts a server that must refuse to, and gives what it logged and said.
    pub(crate) async fn refusal(&self) -> String {
        let mut process = self.spawn(&[]);
        let status = process.exit().await;
        assert_eq!(status.code(), Some(1), "{}", process.log());
        assert_eq!(process.address("address"), None);
        process.log()
    }

    /// Starts the server, and waits for nothing.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Server {
        let (path, log) = server_log();
        // Opened at once: another run of the tests may empty the folder of logs.
        let reader = File::open(path).unwrap();
        let child = self
            .server_command()
            .args(arguments)
            .env("OUBLIETTE_HTTP__LISTEN", "127.0.0.1:0")
            .env("OUBLIETTE_METRICS__LISTEN", "127.0.0.1:0")
            .env("OUBLIETTE_LOG__FILTER", "trace")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let url = Url::parse("http://127.0.0.1:0").unwrap();
        Server { child, log: reader, url, metrics: None, client: client() }
    }

    /// A program in the sandbox, ready to run.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut words = self.wrapper.iter().map(AsRef::as_ref).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OUBLIETTE_") {
                command.env_remove(name);
            }
        }
        command
            .env("OUBLIETTE_CONFIG_DIR", &self.config_dir)
            .env("OUBLIETTE_PROFILE", &self.profile)
            .envs(self.environment.iter().cloned())
            .current_dir(self.folder.path());
        command
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Finished {
    let output = command.output().unwrap();
    Finished {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: File,
    url: Url,
    metrics: Option<SocketAddr>,
    client: Client,
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    /// What `/metrics` says, if `metrics.listen` is set.
    pub(crate) async fn metrics(&self) -> String {
        let address = self.metrics_address();
        self.client.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap()
    }

    /// Where `/metrics` is.
    pub(crate) fn metrics_address(&self) -> SocketAddr {
        self.metrics.unwrap()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it logged so far.
    pub(crate) fn log(&self) -> String {
        let mut log = &self.log;
        let mut text = Vec::new();
        log.rewind().unwrap();
        log.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Sends a signal: `TERM`, `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it ends.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the server ends", || child.try_wait().unwrap()).await
    }

    /// Sends a GraphQL request and gives the whole answer, if there is one.
    pub(crate) async fn try_graphql(&self, query: &str, variables: Value) -> reqwest::Result<Value> {
        let body = json!({ "query": query, "variables": variables });
        let response = self.client.post(self.url("/graphql")).json(&body).send().await?;
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await
    }

    /// Creates somebody, and gives their id if that was answered.
    pub(crate) async fn try_create(&self, person: &Person) -> reqwest::Result<String> {
        let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
        let input = json!({ "username": person.username, "email": person.email, "phone": person.phone });
        let answer = self.try_graphql(query, json!({ "input": input })).await?;
        assert_eq!(answer.get("errors"), None);
        Ok(answer["data"]["createUser"]["id"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn create(&self, person: &Person) -> String {
        self.try_create(person).await.unwrap()
    }

    /// The whole answer to reading a user with everything personal.
    pub(crate) async fn read(&self, id: &str) -> Value {
        let query = "query($id: ID!) { user(id: $id) { id username email phone } }";
        self.try_graphql(query, json!({ "id": id })).await.unwrap()
    }

    /// Where it serves, or serves its metrics (`metrics_address`), as its log says.
    fn address(&self, name: &str) -> Option<SocketAddr> {
        self.log().lines().find_map(|line| {
            let event: Value = serde_json::from_str(line).ok()?;
            event[name].as_str()?.parse().ok()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited too long: {what}");
}
