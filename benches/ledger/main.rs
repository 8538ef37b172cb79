//! A long erasure ledger and a sink: publishing all of it, starting beside it, a receipt, and bringing an empty database forward.
//!
//!     cargo bench --bench ledger               # the run that docs/performance.md shows
//!     cargo bench --bench ledger -- --quick    # does it still work?
//!     cargo bench --bench ledger -- --help
//!
//! Needs Linux and PostgreSQL's server binaries.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is printed")]

#[path = "../rewrap/durable.rs"]
mod durable;
#[path = "../../tests/it/harness/postgres.rs"]
#[expect(dead_code, clippy::expect_used, clippy::panic, reason = "made for tests, and shared with them")]
mod postgres;
#[path = "../rewrap/series.rs"]
#[expect(dead_code, reason = "the rewrap run uses the rest")]
mod series;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Parser;
use oubliette::{
    KeyMetrics,
    config::{KeysConfig, LedgerConfig},
    database,
    entity::{erasure, erasure_head},
    keys::{
        Backends, Keyring,
        local::{KeyFile, LocalBackend},
    },
    ledger,
    sinks::{Readiness, Receipts, SinkHealth, SinkMetrics, Sinks},
    users::Users,
};
use oubliette_ledger::{self as log, DestroyedKey, Entry, Event, Policy, mirror::CHECKPOINT};
use sea_orm::{ActiveModelTrait, DatabaseConnection, EntityTrait, IntoActiveModel};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use series::Series;

/// Rows that are inserted together.
const TOGETHER: usize = 1000;

/// Measures what a long ledger costs.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench ledger --")]
struct Options {
    /// How many erasures there are
    #[arg(long, value_name = "COUNT", default_value = "1000000", default_value_if("quick", "true", "3000"))]
    entries: usize,

    /// How many rounds of what can be repeated
    #[arg(long, value_name = "COUNT", default_value = "5", default_value_if("quick", "true", "2"))]
    rounds: usize,

    /// A short ledger: shows that the run works, not how fast anything is
    #[arg(long)]
    quick: bool,

    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,

    /// What `cargo bench FILTER` passes to every bench
    #[arg(hide = true)]
    filter: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if !options.bench || options.filter.as_deref().is_some_and(|filter| !"ledger".contains(filter)) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        durable::wait_for_the_disk();
        println!("### {} erasures, a sink in a folder\n", options.entries);
        println!(
            "| median (min–max) | publish all, s | start, ms | receipt: make, ms | check, ms | largest, bytes | empty database forward, s |"
        );
        println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
        for kind in ["SQLite", "PostgreSQL"] {
            measure(kind, &options).await?;
        }
        Ok(())
    })
}

/// A server without its API.
struct Server {
    sinks: Sinks,
    health: SinkHealth,
    receipts: Receipts,
}

impl Server {
    async fn new(db: &DatabaseConnection, folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("keys.toml");
        let keys = if file.exists() { KeyFile::read(&file)? } else { KeyFile::create(&file)? };
        let config = KeysConfig::default();
        let backend = Arc::new(LocalBackend::new("local", &keys));
        let backends = Backends::new(backend, Vec::new(), &config, KeyMetrics::default());
        let keyring = Keyring::new(db.clone(), backends, &config, KeyMetrics::default());
        let users = Users::new(db.clone(), keyring.clone());
        let config = configuration(folder)?;
        let (health, receipts) = (SinkHealth::new(&config), Receipts::default());
        let metrics = SinkMetrics::default();
        let sinks =
            Sinks::open(&config, db.clone(), users, keyring, health.clone(), metrics, &receipts).await?;
        Ok(Self { sinks, health, receipts })
    }
}

fn configuration(folder: &Path) -> anyhow::Result<LedgerConfig> {
    let place = folder.display();
    Ok(serde_json::from_value(json!({
        "origin": "example.com/bench", "poll_interval": "10ms", "unreachable_for": "1h",
        "signer": { "kind": "local", "file": format!("{place}/ledger-key"), "create_if_missing": true },
        "sinks": { "one": { "url": format!("file://{place}/sink") } },
    }))?)
}

async fn measure(kind: &str, options: &Options) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let db = empty_database(kind, folder.path(), "one").await?;
    eprintln!("{kind}: writing the ledger");
    let subjects = fill(&db, options.entries).await?;
    eprintln!("{kind}: publishing");
    let started = Instant::now();
    let mut server = Server::new(&db, folder.path()).await?;
    server.sinks.begin().await;
    let checkpoint = folder.path().join("sink").join(CHECKPOINT);
    let published = async {
        loop {
            let text = std::fs::read_to_string(&checkpoint).unwrap_or_default();
            if text.lines().nth(1) == Some(&options.entries.to_string()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = server.sinks.watch() => {}
        () = published => {}
    }
    let publishing = started.elapsed().as_secs_f64();

    eprintln!("{kind}: starting, receipts");
    let (mut starts, mut makes, mut checks) = (Series::default(), Series::default(), Series::default());
    let policy: Policy = {
        let config = configuration(folder.path())?;
        ledger::policy(&config, Some(&ledger::public_key(&config).await?))?.1
    };
    let mut largest = 0;
    for _ in 0..options.rounds {
        let started = Instant::now();
        let mut server = Server::new(&db, folder.path()).await?;
        server.sinks.begin().await;
        starts.push(started.elapsed().as_secs_f64() * 1e3);
        ensure!(server.health.readiness() == Readiness::Ready, "the server is not ready");
        for subject in subjects.iter().step_by((subjects.len() / 100).max(1)) {
            let erasure = ledger::find(&db, (*subject).into()).await?.context("nobody was forgotten")?;
            let started = Instant::now();
            let receipt = server.receipts.of(&erasure).await?.context("there is no receipt")?.to_string();
            makes.push(started.elapsed().as_secs_f64() * 1e3);
            largest = largest.max(receipt.len());
            let started = Instant::now();
            receipt.parse::<oubliette_ledger::Receipt>()?.verify(&policy)?;
            checks.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }

    eprintln!("{kind}: bringing an empty database forward");
    let other = empty_database(kind, folder.path(), "two").await?;
    let mut server = Server::new(&other, folder.path()).await?;
    let started = Instant::now();
    server.sinks.begin().await;
    let forward = started.elapsed().as_secs_f64();
    ensure!(ledger::end(&other).await? == ledger::end(&db).await?, "the ledgers differ");
    println!(
        "| {kind} | {publishing:.1} | {} | {} | {} | {largest} | {forward:.1} |",
        starts.show(1),
        makes.show(2),
        checks.show(2)
    );
    Ok(())
}

async fn empty_database(kind: &str, folder: &Path, name: &str) -> anyhow::Result<DatabaseConnection> {
    let url = if kind == "SQLite" {
        format!("sqlite://{}?mode=rwc", folder.join(format!("{name}.db")).display())
    } else {
        postgres::server().create_database(name);
        postgres::server().url(name)
    };
    let db = database::connect(&serde_json::from_value(json!({ "url": url }))?).await?;
    database::migrate(&db).await?;
    Ok(db)
}

/// Writes a ledger, as forgettings would. Gives whom.
async fn fill(db: &DatabaseConnection, entries: usize) -> anyhow::Result<Vec<Uuid>> {
    let subjects: Vec<_> = (0..entries).map(|_| Uuid::now_v7()).collect();
    let mut previous = [0; 32];
    let mut sequence = 0;
    for together in subjects.chunks(TOGETHER) {
        let mut rows = Vec::with_capacity(TOGETHER);
        for subject in together {
            sequence += 1;
            let key = DestroyedKey {
                version: 1,
                kek_id: "local:20261129-0a1b2c".to_owned(),
                fingerprint: [7; 32],
                commitment: Some([9; 32]),
            };
            let entry = Entry {
                previous,
                sequence,
                at: database::now(),
                actor: "token:billing".to_owned(),
                event: Event::Erasure2(log::Erasure { subject: *subject, destroyed: vec![key] }),
            };
            let text = entry.to_string();
            let row = erasure::Model {
                sequence: sequence.try_into()?,
                form: entry.form().as_str().to_owned(),
                subject_id: Some(*subject),
                target_id: None,
                erased_at: entry.at,
                actor: entry.actor.clone(),
                destroyed_keys: text.lines().next_back().unwrap_or_default().to_owned(),
                previous_digest: previous.to_vec(),
                digest: entry.digest().to_vec(),
            };
            previous = entry.digest();
            rows.push(row.into_active_model().reset_all());
        }
        erasure::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    let (sequence, digest) = (sequence.try_into()?, previous.to_vec());
    let head = erasure_head::Model { id: 1, sequence, digest, entry_version: 2 };
    head.into_active_model().reset_all().update(db).await?;
    Ok(subjects)
}
