//! A throwaway PostgreSQL server: a real one, one per process, on a port and in a directory of its own.
//!
//! It trades durability for speed, listens on loopback only, and must never outlive the process that
//! asked for it, even if that is killed. No destructor can promise that, so a shell ([`WATCHDOG`])
//! owns the server and reads its orders from a pipe whose other end only this process holds: when the
//! pipe ends, for whatever reason, the shell stops the server and removes its directory.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// The superuser, and the only role there is.
const USER: &str = "oubliette";

/// How each directory's name begins; our process id and something random follow.
const DIRECTORY_PREFIX: &str = "oubliette-pg-";

/// Where the ports are taken from: below those that systems hand out to outgoing connections, so that a
/// port is still free when a stopped server starts again.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// The shell that owns the server. Arguments: the directory to make, and where the binaries are.
///
/// Each line read is an order, answered by `ok` or `failed`; all that any program says goes to
/// `server.log`. Writing an answer that nobody reads must not kill the shell before it has cleaned up.
const WATCHDOG: &str = r#"
directory=$1 binaries=$2 data=$1/data
umask 077
trap '' PIPE
mkdir "$directory" || exit 1
exec 2>>"$directory/server.log"

initialise() {
    printf '%s\n' "$1" >"$directory/password" &&
        "$binaries/initdb" --pgdata="$data" --username=oubliette --pwfile="$directory/password" \
            --auth=password --encoding=UTF8 --locale=C --no-sync &&
        cat >>"$data/postgresql.conf" <<CONFIGURATION
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
fsync = off
full_page_writes = off
CONFIGURATION
}

copy() {
    "$binaries/pg_basebackup" --pgdata="$data" --dbname="$1" --write-recovery-conf --checkpoint=fast --no-sync
}

back_up() {
    "$binaries/pg_basebackup" --pgdata="$data" --dbname="$1" --wal-method=none --checkpoint=fast --no-sync
}

recover() {
    cat >>"$data/postgresql.auto.conf" <<CONFIGURATION && : >"$data/recovery.signal"
restore_command = 'cp "$1/%f" "%p"'
archive_mode = off
CONFIGURATION
}

start() {
    "$binaries/pg_ctl" start --wait --pgdata="$data" --log="$directory/server.log" --options="-p $1"
}

stop() {
    "$binaries/pg_ctl" stop --wait --pgdata="$data" --mode="$1"
}

while read -r order argument; do
    if "$order" "$argument" </dev/null >&2; then echo ok; else echo failed; fi
done
stop immediate >&2
cd / && rm -rf "$directory"
"#;

/// The server of this process, started by the first call.
///
/// # Panics
///
/// If PostgreSQL's server binaries are not installed, or do not start.
pub(crate) fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(Postgres::launch)
}

/// A loopback port that nobody listens on right now, and that stays free for a server that restarts.
pub(crate) fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut attempts = (0..100).map(|_| rand::random_range(PORTS));
    attempts.find(free).expect("one port of a hundred is free")
}

/// A running (unless [stopped](Postgres::stop)) PostgreSQL server.
#[derive(Debug)]
pub(crate) struct Postgres {
    directory: PathBuf,
    data: PathBuf,
    binaries: PathBuf,
    port: u16,
    password: String,
    watchdog: Mutex<Watchdog>,
}

impl Postgres {
    /// The URL of a database, which need not exist yet.
    pub(crate) fn url(&self, database: &str) -> String {
        let Self { password, port, .. } = self;
        format!("postgres://{USER}:{password}@127.0.0.1:{port}/{database}")
    }

    /// Where it listens, on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The directory with the server's files: tables, write-ahead log, everything but its log.
    ///
    /// What was written lately may not have reached it before a [`checkpoint`](Self::checkpoint).
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data
    }

    /// A directory for whatever should vanish together with the server, even if this process is killed.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Creates an empty database. Its name goes into SQL, quoted but not escaped.
    pub(crate) fn create_database(&self, name: &str) {
        self.psql("postgres", &format!("CREATE DATABASE \"{name}\""));
    }

    /// Runs SQL as superuser and returns what it answers: a line per row, `|` between columns.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(self.binaries.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--host=127.0.0.1"])
            .arg(format!("--port={}", self.port))
            .arg(format!("--username={USER}"))
            .arg(format!("--dbname={database}"))
            .env("PGPASSWORD", &self.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql starts");
        let mut input = psql.stdin.take().expect("psql's input is a pipe");
        let output = thread::scope(|scope| {
            // An early end of psql breaks the pipe; its exit status says why, so the error is not used.
            scope.spawn(move || input.write_all(sql.as_bytes()));
            psql.wait_with_output().expect("psql ends")
        });
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        let answer = String::from_utf8(output.stdout).expect("psql answers in UTF-8");
        answer.trim_end().to_owned()
    }

    /// Brings all that was written to the files under [`data_dir`](Self::data_dir).
    pub(crate) fn checkpoint(&self) {
        self.psql("postgres", "CHECKPOINT");
    }

    /// Stops the server, as an outage would: every connection is cut. The data stay.
    pub(crate) fn stop(&self) {
        self.order("stop", "fast");
    }

    /// Starts the [stopped](Self::stop) server again, on the same port.
    pub(crate) fn start(&self) {
        self.order("start", &self.port.to_string());
    }

    /// A server of a test's own, for one that changes how it is set up.
    pub(crate) fn launch() -> Self {
        let mut server = Self::prepare(format!("{:032x}", rand::random::<u128>()));
        server.order("initialise", &server.password);
        server.start_on_free_port();
        server
    }

    /// A streaming standby of this server: a copy of it, in a directory and on a port of its own.
    pub(crate) fn launch_standby(&self) -> Self {
        let mut standby = Self::prepare(self.password.clone());
        standby.order("copy", &self.conninfo());
        standby.start_on_free_port();
        standby
    }

    /// A base backup of this server, which archives its WAL: in a directory of its own, and not started.
    pub(crate) fn base_backup(&self) -> Self {
        let backup = Self::prepare(self.password.clone());
        backup.order("back_up", &self.conninfo());
        backup
    }

    /// Starts a [base backup](Self::base_backup), which replays as much of the WAL as this folder has.
    ///
    /// It only reads until it has done so.
    pub(crate) fn recover(&mut self, archive: &Path) {
        self.order("recover", &archive.display().to_string());
        self.start_on_free_port();
    }

    /// Where a standby finds this server.
    pub(crate) fn conninfo(&self) -> String {
        let Self { password, port, .. } = self;
        format!("host=127.0.0.1 port={port} user={USER} password={password}")
    }

    /// A directory, a watchdog, and no server yet.
    fn prepare(password: String) -> Self {
        let binaries = find_binaries().unwrap_or_else(|| {
            panic!(
                "no PostgreSQL server binaries in $OUBLIETTE_TEST_POSTGRES_BIN, $PATH or \
                 /usr/lib/postgresql/*/bin; install them: apt-get install -y postgresql"
            )
        });
        remove_stale_directories();
        let unique = format!("{DIRECTORY_PREFIX}{}-{:08x}", std::process::id(), rand::random::<u32>());
        let directory = std::env::temp_dir().join(unique);
        Self {
            data: directory.join("data"),
            port: 0,
            password,
            watchdog: Mutex::new(Watchdog::spawn(&directory, &binaries)),
            directory,
            binaries,
        }
    }

    /// Another process may take the port between our look and the server's bind: then try another one.
    fn start_on_free_port(&mut self) {
        for _ in 0..3 {
            self.port = free_port();
            if self.obeys("start", &self.port.to_string()) {
                return;
            }
        }
        panic!("PostgreSQL does not start:\n{}", self.log());
    }

    fn order(&self, order: &str, argument: &str) {
        let obeyed = self.obeys(order, argument);
        assert!(obeyed, "PostgreSQL: {order} failed:\n{}", self.log());
    }

    fn obeys(&self, order: &str, argument: &str) -> bool {
        // A poisoned lock is another test's failure, and no reason to fail this one.
        let mut watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
        watchdog.obeys(order, argument).unwrap_or(false)
    }

    fn log(&self) -> String {
        let path = self.directory.join("server.log");
        fs::read_to_string(&path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
    }
}

/// The other end of the pipes to the [`WATCHDOG`]; dropping it stops the server.
#[derive(Debug)]
struct Watchdog {
    _shell: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Watchdog {
    fn spawn(directory: &Path, binaries: &Path) -> Self {
        let mut shell = as_unprivileged("sh")
            .args(["-c", WATCHDOG, "oubliette-pg-watchdog"])
            .args([directory, binaries])
            .current_dir("/")
            // Out of reach of the terminal's Ctrl-C, which would end it before it has cleaned up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the shell that watches over PostgreSQL starts");
        let orders = shell.stdin.take().expect("its input is a pipe");
        let answers = BufReader::new(shell.stdout.take().expect("its output is a pipe"));
        Self { _shell: shell, orders, answers }
    }

    fn obeys(&mut self, order: &str, argument: &str) -> io::Result<bool> {
        writeln!(self.orders, "{order} {argument}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer == "ok\n")
    }
}

/// PostgreSQL refuses to run as root, who therefore runs it as the user `postgres`.
pub(super) fn as_unprivileged(program: &str) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--", program]);
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The directory of `initdb` and its kin: what the environment names, or what `PATH` has, or the newest
/// of Debian's.
fn find_binaries() -> Option<PathBuf> {
    let named = std::env::var_os("OUBLIETTE_TEST_POSTGRES_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = Vec::from_iter(named);
    candidates.extend(std::env::split_paths(&path));
    candidates.extend(debian_binaries());
    let complete = |directory: &PathBuf| {
        let has = |program| directory.join(program).is_file();
        has("initdb") && has("pg_ctl") && has("postgres") && has("psql")
    };
    candidates.into_iter().find(complete)
}

fn debian_binaries() -> Vec<PathBuf> {
    let mut releases: Vec<(u32, PathBuf)> = entries(Path::new("/usr/lib/postgresql"))
        .filter_map(|entry| {
            let release = entry.file_name().to_str()?.parse().ok()?;
            Some((release, entry.path().join("bin")))
        })
        .collect();
    releases.sort_unstable();
    releases.into_iter().rev().map(|(_, directory)| directory).collect()
}

/// Removes what a killed watchdog left behind; a server that still runs there ends by itself when it
/// misses its files.
fn remove_stale_directories() {
    let processes = Path::new("/proc");
    if !processes.join("self").exists() {
        return;
    }
    for entry in entries(&std::env::temp_dir()) {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(DIRECTORY_PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|process| !processes.join(process.to_string()).exists()) {
            // Its own watchdog may be at it right now, or it may be another user's: both are fine.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(directory).into_iter().flatten().flatten()
}
