//! What one server has forgotten leaves the memory of the others: with real processes on one database.

mod rollback;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use oubliette::{
    KeyMetrics,
    audit::Origin,
    config::KeysConfig,
    database,
    envelope::SubjectId,
    keys::{
        Backends, Keyring,
        local::{KeyFile, LocalBackend},
    },
    users::Users,
};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use serde_json::{Value, json};

use crate::harness::{
    Person, Proxy, Sandbox, Server, TestStack, local_backend, log_everything, on_both_databases, populate,
};

on_both_databases!(polling_alone_is_enough);

/// What the README promises.
const A_SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

const EVICTED: &str = "oubliette_key_cache_evictions_total{cause=\"forgotten\"}";
const ENTRIES: &str = "oubliette_key_cache_entries";
const LISTENING: &str = "oubliette_peer_listening";
const LAST_LOOK: &str = "oubliette_peer_last_look_timestamp_seconds";
const NOTIFIED: &str = "oubliette_peer_erasures_total{learned_by=\"notification\"}";
const POLLED: &str = "oubliette_peer_erasures_total{learned_by=\"poll\"}";
const DELAYS: &str = "oubliette_peer_eviction_delay_seconds_count";

/// Several servers on one database and one key file.
struct Fleet {
    _stack: TestStack,
    sandbox: Sandbox,
    db: DatabaseConnection,
    servers: Vec<Server>,
}

impl Fleet {
    async fn start(stack: TestStack, servers: usize, settings: &[&str]) -> Self {
        let url = stack.url();
        Self::start_at(stack, &url, servers, settings).await
    }

    /// With a way of their own to the database.
    async fn start_at(stack: TestStack, url: &str, servers: usize, settings: &[&str]) -> Self {
        log_everything();
        let db = database::connect(&stack.config()).await.unwrap();
        database::migrate(&db).await.unwrap();
        let profile = format!(
            "[auth]\nmode = \"off\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"{url}\"\nconnect_timeout = \"1s\"\n[keys]\nactive = \"local\"\n{}",
            local_backend("local")
        );
        let sandbox = Sandbox::new().with_profile("fleet", &profile);
        KeyFile::create(&sandbox.path("data/local.toml")).unwrap();
        let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
        let servers = join_all((0..servers).map(|_| sandbox.start_with(&settings))).await;
        Self { _stack: stack, sandbox, db, servers }
    }

    /// A user whose data key is in the cache of every server.
    async fn user_known_to_all(&self) -> String {
        let person = Person::new();
        let id = self.servers[0].create(&person).await;
        for server in &self.servers {
            assert_eq!(server.read(&id).await["data"]["user"]["email"], person.email);
        }
        id
    }

    /// Waits until all servers but the first have evicted this often. Gives how long after the erasure that was seen.
    async fn evicted(&self, times: i64, erased_at: DateTime<Utc>) -> Duration {
        let others = self.servers[1..].iter();
        join_all(others.map(|server| eventually(server, EVICTED, move |evicted| evicted >= times))).await;
        (Utc::now() - erased_at).to_std().unwrap()
    }

    async fn all_answer_forgotten(&self, id: &str) {
        for server in &self.servers {
            assert_eq!(server.read(id).await["errors"][0]["extensions"]["code"], "FORGOTTEN");
        }
    }

    /// Users as another process has them.
    fn users(&self) -> (Users, LocalBackend) {
        let file = KeyFile::read(&self.sandbox.path("data/local.toml")).unwrap();
        let backends = Backends::new(
            Arc::new(LocalBackend::new("local", &file)),
            Vec::new(),
            &KeysConfig::default(),
            KeyMetrics::default(),
        );
        let keyring = Keyring::new(self.db.clone(), backends, &KeysConfig::default(), KeyMetrics::default());
        (Users::new(self.db.clone(), keyring), LocalBackend::new("local", &file))
    }

    fn admin_forgets(&self, id: &str) -> DateTime<Utc> {
        let receipt = self.sandbox.admin_ok(&["users", "forget", id, "--yes", "--json"]);
        let receipt: Value = serde_json::from_str(&receipt).unwrap();
        receipt["erased_at"].as_str().unwrap().parse().unwrap()
    }
}

async fn forget(server: &Server, id: &str) -> DateTime<Utc> {
    let query = "mutation($id: ID!) { forgetUser(id: $id) { erasedAt } }";
    let answer = server.try_graphql(query, json!({ "id": id })).await.unwrap();
    answer["data"]["forgetUser"]["erasedAt"].as_str().unwrap().parse().unwrap()
}

/// What a line of the metrics says, without decimals; 0 if it is not there.
async fn metric(server: &Server, name: &str) -> i64 {
    let text = server.metrics().await;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.split('.').next().unwrap().parse().unwrap())
}

async fn eventually(server: &Server, name: &str, is_so: impl Fn(i64) -> bool) {
    let started = Instant::now();
    while !is_so(metric(server, name).await) {
        assert!(started.elapsed() < PATIENCE, "{name}: {}", server.metrics().await);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgetting_on_one_server_evicts_on_the_others_within_a_second() {
    let fleet = Fleet::start(TestStack::postgres(), 3, &[]).await;
    for server in &fleet.servers {
        eventually(server, LISTENING, |listening| listening == 1).await;
    }
    let (mut slowest, mut slowest_of_admin) = (Duration::ZERO, Duration::ZERO);
    for round in 1..=100 {
        let id = fleet.user_known_to_all().await;
        let by_admin = round % 10 == 0;
        let erased_at =
            if by_admin { fleet.admin_forgets(&id) } else { forget(&fleet.servers[0], &id).await };
        let delay = fleet.evicted(round, erased_at).await;
        let slowest = if by_admin { &mut slowest_of_admin } else { &mut slowest };
        *slowest = delay.max(*slowest);
        assert!(by_admin || delay < A_SECOND, "round {round}: {delay:?}");
        fleet.all_answer_forgotten(&id).await;
    }
    tracing::info!(?slowest, ?slowest_of_admin, "the longest from an erasure to its eviction elsewhere");
    for server in &fleet.servers[1..] {
        assert_eq!(metric(server, EVICTED).await, 100);
        assert_eq!(metric(server, DELAYS).await, 100);
        assert!(metric(server, NOTIFIED).await > 80, "{}", server.metrics().await);
        let within_a_second =
            metric(server, "oubliette_peer_eviction_delay_seconds_bucket{le=\"1.024\"}").await;
        assert_eq!(within_a_second, 100, "as each server saw it");
    }
}

async fn polling_alone_is_enough(stack: TestStack) {
    let fleet = Fleet::start(stack, 2, &["peers.notify=false"]).await;
    let mut slowest = Duration::ZERO;
    for round in 1..=20 {
        let id = fleet.user_known_to_all().await;
        let erased_at = forget(&fleet.servers[0], &id).await;
        let delay = fleet.evicted(round, erased_at).await;
        assert!(delay < A_SECOND, "round {round}: {delay:?}");
        slowest = slowest.max(delay);
        fleet.all_answer_forgotten(&id).await;
    }
    tracing::info!(?slowest, "the longest from an erasure to its eviction elsewhere, by polling");
    assert_eq!(metric(&fleet.servers[1], POLLED).await, 20);
    assert_eq!(metric(&fleet.servers[1], NOTIFIED).await, 0);
    assert_eq!(metric(&fleet.servers[1], LISTENING).await, 0);
}

/// A server that reaches PostgreSQL through a proxy.
async fn behind_a_proxy(settings: &[&str]) -> (Fleet, Proxy) {
    let stack = TestStack::postgres();
    let (proxy, url) = stack.behind_a_proxy().await;
    (Fleet::start_at(stack, &url, 1, settings).await, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_forgotten_during_an_outage_is_caught_up_with() {
    let (fleet, proxy) = behind_a_proxy(&[]).await;
    let server = &fleet.servers[0];
    let (users, backend) = fleet.users();
    let known = fleet.user_known_to_all().await;
    let staying = fleet.user_known_to_all().await;
    // More than one page of the ledger.
    let mut subjects: Vec<SubjectId> =
        populate(&fleet.db, &backend, 1_200).await.into_iter().map(|(id, _)| id.into()).collect();
    subjects.push(known.parse::<uuid::Uuid>().unwrap().into());
    eventually(server, LISTENING, |listening| listening == 1).await;

    proxy.cut();
    eventually(server, LISTENING, |listening| listening == 0).await;
    for subject in &subjects {
        users.forget(*subject, &Origin::new("test")).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let last_look = metric(server, LAST_LOOK).await;
    assert!(Utc::now().timestamp() - last_look >= 2, "it shows that nobody looks");
    assert_eq!(metric(server, EVICTED).await, 0);

    proxy.restore();
    eventually(server, EVICTED, |evicted| evicted == 1).await;
    eventually(server, DELAYS, |learned| learned == 1_201).await;
    assert_eq!(metric(server, ENTRIES).await, 1, "nobody else's key left");
    eventually(server, LISTENING, |listening| listening == 1).await;
    fleet.all_answer_forgotten(&known).await;
    assert_eq!(server.read(&staying).await.get("errors"), None);
    for said_once in [
        "the erasure ledger cannot be read; who is forgotten elsewhere stays",
        "the erasure ledger can be read again",
        "other servers' notifications of forgettings are not heard",
    ] {
        assert_eq!(server.log().matches(said_once).count(), 1, "{said_once}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_hangs_is_given_up() {
    let (fleet, proxy) = behind_a_proxy(&[]).await;
    let server = &fleet.servers[0];
    let id = fleet.user_known_to_all().await;
    proxy.stall();
    let subject = id.parse::<uuid::Uuid>().unwrap().into();
    fleet.users().0.forget(subject, &Origin::new("test")).await.unwrap();
    // Longer than a look may take.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(server.log().contains("the erasure ledger cannot be read"), "{}", server.log());
    proxy.restore();
    eventually(server, EVICTED, |evicted| evicted == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_dies_comes_back() {
    let fleet = Fleet::start(TestStack::postgres(), 2, &["peers.poll_interval=20s"]).await;
    let listening = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    for server in &fleet.servers {
        eventually(server, LISTENING, |listening| listening == 1).await;
    }
    for times in [1, 2, 3] {
        let id = fleet.user_known_to_all().await;
        let erased_at = forget(&fleet.servers[0], &id).await;
        assert!(fleet.evicted(times, erased_at).await < A_SECOND, "without polling");

        let killed = format!("SELECT pg_terminate_backend(pid) {listening}");
        fleet.db.execute_unprepared(&killed).await.unwrap();
        let come_back = fleet.servers.iter().map(async |server| {
            eventually(server, LISTENING, |listening| listening == 0).await;
            eventually(server, LISTENING, |listening| listening == 1).await;
        });
        join_all(come_back).await;
    }
    assert!(metric(&fleet.servers[1], NOTIFIED).await >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_one_connection_is_left_to_requests_and_closes_at_once() {
    // Fifty wait for one connection, on a machine that may be busy.
    let settings = [
        "database.max_connections=1",
        "database.connect_timeout=30s",
        "http.request_timeout=2m",
        "peers.poll_interval=1ms",
    ];
    let mut fleet = Fleet::start(TestStack::postgres(), 2, &settings).await;
    eventually(&fleet.servers[1], LISTENING, |listening| listening == 1).await;
    let id = fleet.user_known_to_all().await;
    let reads = (0..50).map(|_| fleet.servers[1].read(&id));
    for answer in join_all(reads).await {
        assert_eq!(answer.get("errors"), None, "{answer}");
    }
    let erased_at = forget(&fleet.servers[0], &id).await;
    assert!(fleet.evicted(1, erased_at).await < A_SECOND);
    for server in &mut fleet.servers {
        let started = Instant::now();
        server.signal("TERM");
        assert!(server.exit().await.success(), "{}", server.log());
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}
