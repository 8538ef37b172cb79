//! A real PgBouncer before the PostgreSQL of the tests, on a port of its own.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::postgres::{self, as_unprivileged, free_port};

/// Ends PgBouncer when its input ends: so also if this process is killed.
const WATCHDOG: &str = r#""$1" "$2" </dev/null >"$2.log" 2>&1 & pooler=$!; read -r _; kill "$pooler"; wait"#;

/// A running PgBouncer. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct PgBouncer {
    port: u16,
    tracks_statements: bool,
    shell: Child,
}

impl PgBouncer {
    /// With this `pool_mode`, before each database of the tests' server.
    ///
    /// # Panics
    ///
    /// If PgBouncer is not installed, or does not start.
    pub(crate) fn launch(pool_mode: &str) -> Self {
        let program = find();
        let tracks_statements = version(&program) >= (1, 21);
        let (server, port) = (postgres::server(), free_port());
        let url = url::Url::parse(&server.url("any")).expect("it is a URL");
        let (user, password) = (url.username(), url.password().unwrap_or_default());
        let statements = if tracks_statements { "max_prepared_statements = 200\n" } else { "" };
        // A session takes a connection for as long as it lives; transactions are to share few.
        let size = if pool_mode == "session" { 30 } else { 8 };
        let configuration = format!(
            "[databases]\n* = host=127.0.0.1 port={} user={user} password={password}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {pool_mode}\nmax_client_conn = 300\ndefault_pool_size = {size}\n{statements}",
            server.port()
        );
        let file = server.directory().join(format!("pgbouncer-{port}.ini"));
        fs::write(&file, configuration).expect("the server's folder takes a file");
        let shell = as_unprivileged("sh")
            .args(["-c", WATCHDOG, "oubliette-pgbouncer"])
            .args([&program, &file])
            .current_dir("/")
            .stdin(Stdio::piped())
            .spawn()
            .expect("the shell that watches over PgBouncer starts");
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || fs::read_to_string(file.with_extension("ini.log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(10), "PgBouncer does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { port, tracks_statements, shell }
    }

    /// Whether it keeps the prepared statements of its clients apart, as releases from 1.21 do.
    pub(crate) fn tracks_statements(&self) -> bool {
        self.tracks_statements
    }

    /// The same URL, through it.
    pub(crate) fn before(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).expect("it is a URL");
        url.set_port(Some(self.port)).expect("it takes a port");
        url.into()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // It may have ended by itself.
        let _ = self.shell.wait();
    }
}

/// What the environment names, or what is in `PATH`, or where Debian has it.
fn find() -> PathBuf {
    let named = std::env::var_os("OUBLIETTE_TEST_PGBOUNCER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("pgbouncer"));
    named.into_iter().chain(on_path).chain([PathBuf::from("/usr/sbin/pgbouncer")]).find(|file| file.is_file()).expect(
        "no PgBouncer in $OUBLIETTE_TEST_PGBOUNCER, $PATH or /usr/sbin; install it: apt-get install -y pgbouncer",
    )
}

/// Major and minor.
fn version(program: &Path) -> (u32, u32) {
    let output = Command::new(program).arg("--version").output().expect("PgBouncer starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let number = said.split_whitespace().nth(1).expect("`PgBouncer 1.18.0`");
    let mut parts = number.split('.').map(|part| part.parse().expect("a number"));
    (parts.next().expect("major"), parts.next().expect("minor"))
}
