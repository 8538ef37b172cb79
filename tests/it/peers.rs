//! What one server has forgotten leaves the memory of the others: with real processes on one database.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use oubliette::{
    audit::Origin,
    config::KeysConfig,
    database,
    envelope::SubjectId,
    keys::{
        Backends, KeyMetrics, Keyring,
        local::{KeyFile, LocalBackend},
    },
    users::{UserError, Users, rollbacks},
};
use reqwest::{StatusCode, Url};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use serde_json::{Value, json};

use crate::harness::{
    Person, Proxy, Sandbox, Server, TestStack, local_backend, log_everything, on_both_databases, populate,
};

on_both_databases!(polling_alone_is_enough, a_ledger_that_goes_back_is_not_trusted_until_it_is_adopted);

/// What the issue asks for.
const A_SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

const EVICTED: &str = "oubliette_key_cache_evictions_total{cause=\"forgotten\"}";
const ENTRIES: &str = "oubliette_key_cache_entries";
const LISTENING: &str = "oubliette_peer_listening";
const LAST_LOOK: &str = "oubliette_peer_last_look_timestamp_seconds";
const ROLLED_BACK: &str = "oubliette_peer_ledger_rolled_back";
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
        let backends = Backends::new(Arc::new(LocalBackend::new("local", &file)), Vec::new());
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

async fn a_ledger_that_goes_back_is_not_trusted_until_it_is_adopted(stack: TestStack) {
    let fleet = Fleet::start(stack, 2, &[]).await;
    let (known, other) = (fleet.user_known_to_all().await, fleet.user_known_to_all().await);
    for times in [1, 2] {
        let forgotten = fleet.user_known_to_all().await;
        let erased_at = forget(&fleet.servers[0], &forgotten).await;
        fleet.evicted(times, erased_at).await;
    }
    // The server that forgot evicted at once, and may not have read its own entry yet.
    for server in &fleet.servers {
        eventually(server, DELAYS, |read| read == 2).await;
        assert_eq!(metric(server, ROLLED_BACK).await, 0);
    }

    let go_back_to_the_first = async || {
        for sql in [
            "UPDATE erasure_head SET sequence = 1, digest = (SELECT digest FROM erasures WHERE sequence = 1)",
            "DELETE FROM erasures WHERE sequence > 1",
        ] {
            fleet.db.execute_unprepared(sql).await.unwrap();
        }
    };
    // As a backup has it that was made before the second one.
    go_back_to_the_first().await;
    let rows_of = async || rollbacks::waiting_or(&fleet.db, &[]).await.unwrap();
    for server in &fleet.servers {
        eventually(server, ROLLED_BACK, |rolled_back| rolled_back == 1).await;
        eventually(server, ENTRIES, |entries| entries == 0).await;
        assert!(
            server.log().contains("went back, as after a failover or a restored backup: entry 2 is gone")
        );
        answers_nothing_personal(server, &known).await;
    }
    // Each of them has noticed for itself, or has read of the other.
    let noticed = rows_of().await;
    assert!(!noticed.is_empty());
    // A row that is lost, as the database goes back once more, is stored again.
    fleet.db.execute_unprepared("DELETE FROM ledger_rollbacks").await.unwrap();
    wait(async || !rows_of().await.is_empty()).await;
    // A server that comes later.
    let late = fleet.sandbox.start().await;
    answers_nothing_personal(&late, &known).await;
    assert_eq!(metric(&late, ROLLED_BACK).await, 1);
    assert!(late.log().contains("entry 2 is gone"), "{}", late.log());

    // Who is forgotten meanwhile has the second entry.
    let erased_at = forget(&late, &other).await;
    assert!(erased_at <= Utc::now());
    assert!(fleet.sandbox.admin(&["ledger", "status"]).status == Some(1));
    let adopt = ["ledger", "adopt", "--actor", "olga"];
    assert!(fleet.sandbox.admin(&adopt).stderr.contains("Pass --yes"));
    wait(async || {
        // Rows come as servers notice that theirs is lost.
        fleet.sandbox.admin(&[&adopt[..], &["--yes"]].concat());
        let trusts = async |server: &Server| metric(server, ROLLED_BACK).await == 0;
        trusts(&fleet.servers[0]).await && trusts(&fleet.servers[1]).await && trusts(&late).await
    })
    .await;
    assert_eq!(fleet.sandbox.admin_ok(&adopt), "nothing waits to be adopted\n");
    let status = fleet.sandbox.admin_ok(&["ledger", "status"]);
    assert!(status.starts_with("sequence   2\n"), "{status}");
    let events = fleet.sandbox.admin_ok(&["audit", "export", "--json"]);
    let event = events.lines().find(|line| line.contains("ledger_adopt")).unwrap();
    assert!(event.contains("admin:olga"), "{event}");
    for server in [&fleet.servers[0], &fleet.servers[1], &late] {
        assert_eq!(server.read(&known).await.get("errors"), None);
        assert_eq!(server.read(&other).await["errors"][0]["extensions"]["code"], "FORGOTTEN");
    }

    // What was adopted says nothing about a later one.
    go_back_to_the_first().await;
    for server in [&fleet.servers[0], &fleet.servers[1], &late] {
        eventually(server, ROLLED_BACK, |rolled_back| rolled_back == 1).await;
        answers_nothing_personal(server, &known).await;
    }
}

/// All ways to personal values are closed, and those that are needed to forget are open.
async fn answers_nothing_personal(server: &Server, id: &str) {
    let ready = server.client().get(server.url("/readyz?exclude=keys")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let answer: Value = ready.json().await.unwrap();
    assert_eq!(answer["checks"], json!({ "database": "ok", "ledger": "failed" }));
    for query in [
        "query($id: ID!) { user(id: $id) { id } }",
        "query($id: ID!) { user(id: $id) { email } }",
        "query($id: ID!) { erasure(userId: $id) { sequence } }",
        "{ userByUsername(username: \"nobody\") { id } }",
        "{ users(first: 1) { edges { node { id } } } }",
        "mutation { createUser(input: { username: \"somebody\" }) { id } }",
        "mutation($id: ID!) { updateUser(id: $id, input: { phone: null }) { id } }",
    ] {
        let answer = server.try_graphql(query, json!({ "id": id })).await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{query}: {answer}");
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("the erasure ledger went back"), "{message}");
    }
    let query = "mutation($id: ID!) { forgetUser(id: $id) { sequence } }";
    let nobody = json!({ "id": uuid::Uuid::now_v7() });
    let answer = server.try_graphql(query, nobody).await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_FOUND", "{answer}");
    let answer =
        server.try_graphql("{ auditEvents { edges { node { action } } } }", json!({})).await.unwrap();
    assert_eq!(answer.get("errors"), None, "{answer}");
}

/// A user who was read before, as a request in flight has them, does not open afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_was_read_before_does_not_open() {
    let fleet = Fleet::start(TestStack::sqlite(), 1, &[]).await;
    let id: uuid::Uuid = fleet.user_known_to_all().await.parse().unwrap();
    let (users, _) = fleet.users();
    let user = users.find(id.into()).await.unwrap().unwrap();
    assert!(user.email().await.unwrap().is_some());
    assert!(users.trust_ledger(false));
    assert!(matches!(user.email().await, Err(UserError::LedgerWentBack)));
    assert!(matches!(user.phone().await, Err(UserError::LedgerWentBack)));
}

async fn wait(is_so: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A server that reaches PostgreSQL through a proxy.
async fn behind_a_proxy(settings: &[&str]) -> (Fleet, Proxy) {
    let stack = TestStack::postgres();
    let mut url: Url = stack.url().parse().unwrap();
    let proxy = Proxy::start(format!("127.0.0.1:{}", url.port().unwrap())).await;
    url.set_port(Some(proxy.port())).unwrap();
    (Fleet::start_at(stack, url.as_str(), 1, settings).await, proxy)
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
    let settings = ["database.max_connections=1", "peers.poll_interval=1ms"];
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
