//! Whoever attacks: on a thread of their own, so that what they do does not delay the normal client's own clock.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::client::{Connection, graphql_request};

/// Where the hostile documents come from, so that the limit for an address does not meet the normal client.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// Connections that send hostile documents, each again once it is answered.
const SENDERS: usize = 8;
/// Connections that send a body byte by byte.
const SLOW: usize = 1_000;
/// Between two of these bytes, and before another connection is opened once one is closed.
const PAUSE: Duration = Duration::from_millis(250);
/// Connections that say nothing: `http.max_connections` as shipped.
const IDLE: u64 = 10_000;
/// Open files that are no idle connections.
const OTHER_FILES: u64 = 2_000;

/// What is done to the server.
#[derive(Clone, Debug)]
pub(super) enum Attack {
    Documents,
    SlowBodies,
    IdleConnections,
    All,
    /// By whoever has a token.
    Requests(Turns),
}

/// Requests that are sent in turns.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    pub(super) title: &'static str,
    pub(super) requests: Arc<[Vec<u8>]>,
    /// From one to the next, of all connections together. None: each is sent once the one before is answered.
    pub(super) every: Duration,
}

/// An attack that goes on.
#[derive(Debug)]
pub(super) struct Siege {
    answers: Arc<AtomicU32>,
    end: oneshot::Sender<()>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Attack {
    pub(super) const ALL: [Self; 4] = [Self::Documents, Self::SlowBodies, Self::IdleConnections, Self::All];

    pub(super) fn title(&self) -> String {
        match self {
            Self::Requests(requests) => requests.title.to_owned(),
            Self::Documents => format!("hostile documents on {SENDERS} connections"),
            Self::SlowBodies => format!("{SLOW} slow bodies"),
            Self::IdleConnections => format!("{} idle connections", idle_connections()),
            Self::All => "all of these".to_owned(),
        }
    }

    fn tasks(&self, address: SocketAddr, answers: &Arc<AtomicU32>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        if matches!(self, Self::Documents | Self::All) {
            let documents: Arc<[_]> = documents().into();
            for _ in 0..SENDERS {
                tasks.spawn(send(address, Arc::clone(&documents), Duration::ZERO, Arc::clone(answers)));
            }
        }
        if let Self::Requests(Turns { requests, every, .. }) = self {
            for sender in 0..SENDERS {
                let answers = Arc::clone(answers);
                let every = *every * u32::try_from(SENDERS).unwrap_or(u32::MAX);
                // Each begins with another.
                let mut requests = requests.to_vec();
                let begin = sender % requests.len();
                requests.rotate_left(begin);
                tasks.spawn(send(address, requests.into(), every, answers));
            }
        }
        if matches!(self, Self::SlowBodies | Self::All) {
            for _ in 0..SLOW {
                tasks.spawn(drip(address));
            }
        }
        if matches!(self, Self::IdleConnections | Self::All) {
            for _ in 0..idle_connections() {
                tasks.spawn(idle(address));
            }
        }
        tasks
    }
}

impl Siege {
    pub(super) fn begin(attack: &Attack, address: SocketAddr) -> anyhow::Result<Self> {
        let attack = attack.clone();
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
        let answers = Arc::<AtomicU32>::default();
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let counter = Arc::clone(&answers);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let _tasks = attack.tasks(address, &counter);
                ended.await.context("nobody ended the attack")
            })
        });
        Ok(Self { answers, end, thread })
    }

    /// How many answers the attackers had.
    pub(super) fn answers(&self) -> u32 {
        self.answers.load(Relaxed)
    }

    pub(super) fn end(self) -> anyhow::Result<()> {
        // It fails only if the thread has ended, and then it says why.
        let _ = self.end.send(());
        self.thread.join().map_err(|_| anyhow::anyhow!("the attackers panicked"))?
    }
}

/// Documents at the edge of what is read: the dearest to refuse.
fn documents() -> Vec<Vec<u8>> {
    let numbered = |count: usize, piece: fn(usize) -> String| (0..count).map(piece).collect::<String>();
    let laughs = |n| format!("fragment F{n} on Query {{ ...F{0} ...F{0} }} ", n + 1);
    let documents = [
        format!("{{ {} }}", numbered(1_300, |n| format!("a{n}: users(first: 100) {{ nodes {{ email }} }} "))),
        format!("{{ {} }}", numbered(3_900, |n| format!("f{n} "))),
        format!("{{ user({}) {{ id }} }}", numbered(4_900, |n| format!("a{n}: 1 "))),
        format!("query({}) {{ __typename }}", numbered(3_700, |n| format!("$a{n}: ID "))),
        format!("{{ ...F0 }} {}", (0..30).map(laughs).collect::<String>()),
        "{".repeat(14_000),
        "{".repeat(200_000),
        format!("{{ user(id: \"{}\") {{ id }}", "a".repeat(200_000)),
    ];
    documents.map(|document| graphql_request(None, &document, &json!({}))).into()
}

/// Sends the documents in turns, for ever, one in so long. Refused as too many, it waits for a moment.
async fn send(address: SocketAddr, documents: Arc<[Vec<u8>]>, every: Duration, answers: Arc<AtomicU32>) {
    let mut pace = tokio::time::interval(every.max(Duration::from_millis(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if let Ok(mut connection) = Connection::open_from(ADDRESS, address).await {
            for document in documents.iter().cycle() {
                if !every.is_zero() {
                    pace.tick().await;
                }
                let Ok(answer) = connection.ask(document).await else { break };
                if answer.status == 429 {
                    tokio::time::sleep(PAUSE).await;
                }
                answers.fetch_add(1, Relaxed);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sends a body as slowly as it can, for ever.
async fn drip(address: SocketAddr) {
    let head = "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 100000\r\n\r\n";
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await
            && stream.write_all(head.as_bytes()).await.is_ok()
        {
            let (mut reader, mut writer) = stream.split();
            let dripping = async {
                while writer.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(PAUSE).await;
                }
            };
            tokio::select! { () = dripping => {}, _ = reader.read_u8() => {} }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Says nothing, for ever, on another connection once one is closed.
async fn idle(address: SocketAddr) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            // It ends when the server closes the connection.
            let _ = stream.read_u8().await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// As many as this process may have open.
fn idle_connections() -> u64 {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    IDLE.min(limit.saturating_sub(OTHER_FILES))
}
