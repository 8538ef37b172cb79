//! `oubliette-admin index rotate`, as a process, beside a bare batched INSERT of the tags that it wrote; and how much a database grows by them.
//!
//!     cargo bench --bench index               # the run that docs/performance.md shows
//!     cargo bench --bench index -- --quick    # does it still work?
//!     cargo bench --bench index -- --help
//!
//! Needs Linux (it reads `/proc`) and PostgreSQL's server binaries.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is printed")]

#[path = "../import/bare.rs"]
mod bare;
#[path = "../rewrap/command.rs"]
#[expect(dead_code, reason = "the rewrap run uses the rest")]
mod command;
#[path = "../rewrap/durable.rs"]
mod durable;
#[path = "../../tests/it/harness/postgres.rs"]
#[expect(dead_code, clippy::expect_used, clippy::panic, reason = "made for tests, and shared with them")]
mod postgres;
#[path = "../load/procfs.rs"]
#[expect(dead_code, reason = "the load run uses the rest")]
mod procfs;
#[path = "../rewrap/series.rs"]
mod series;
#[path = "../import/site.rs"]
#[expect(dead_code, reason = "the import run uses the rest")]
mod site;

use std::fs;

use anyhow::{Context, ensure};
use clap::Parser;
use oubliette::database;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use tempfile::TempDir;

use series::Series;
use site::Site;

/// Compares `index rotate` with a bare INSERT of the same tags.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench index --")]
struct Options {
    /// How many people there are, each with an e-mail address and a phone number
    #[arg(long, value_name = "COUNT", default_value = "100000", default_value_if("quick", "true", "2000"))]
    people: usize,

    /// How many rounds each contender has
    #[arg(long, value_name = "COUNT", default_value = "3", default_value_if("quick", "true", "2"))]
    rounds: usize,

    /// Few people: shows that the run works, not how fast anything is
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
    if !options.bench || options.filter.as_deref().is_some_and(|filter| !"index".contains(filter)) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        durable::wait_for_the_disk();
        println!("### {} people with two values, {} rounds\n", options.people, options.rounds);
        println!(
            "| tags per second, median (min–max) | index rotate | bare INSERT | rotate / INSERT | peak memory, MiB | bytes of the database for each person: \
             without search, with it |"
        );
        println!("| --- | ---: | ---: | ---: | ---: | ---: |");
        for kind in ["SQLite", "PostgreSQL"] {
            compare(kind, &options).await?;
        }
        Ok(())
    })
}

/// How people are found by their two values.
fn searched(search: &str) -> String {
    format!("[attributes.email]\nsearch = \"{search}\"\n[attributes.phone]\nsearch = \"{search}\"\n")
}

/// A database with people in it.
fn with_people(kind: &str, name: &str, search: &str, people: usize) -> anyhow::Result<Site> {
    let site = Site::new(kind, name, &searched(search))?;
    let folder = TempDir::new()?;
    let file = folder.path().join("people.csv");
    let mut text = "username,email,phone\n".to_owned();
    for number in 0..people {
        text.push_str(&format!(
            "user-{number},person-{number}@mail.example.com,+49151{:08}\n",
            10_000_000 + number
        ));
    }
    fs::write(&file, text)?;
    let (_, result) = site.admin.last_line(&["users", "import", &file.display().to_string(), "--json"])?;
    ensure!(result["created"] == people, "{result}");
    Ok(site)
}

async fn connect(site: &Site) -> anyhow::Result<DatabaseConnection> {
    Ok(database::connect(&site.config()?).await?)
}

/// Of the whole database, in bytes, with nothing in it that is free.
async fn size(site: &Site) -> anyhow::Result<f64> {
    let db = connect(site).await?;
    let backend = db.get_database_backend();
    let query = if backend == DbBackend::Postgres {
        db.execute_unprepared("VACUUM FULL").await?;
        "SELECT pg_database_size(current_database())"
    } else {
        db.execute_unprepared("VACUUM").await?;
        "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    };
    let row = db.query_one_raw(Statement::from_string(backend, query)).await?.context("no size")?;
    let bytes: i64 = row.try_get_by_index(0)?;
    db.close().await?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Ok(bytes as f64)
}

async fn compare(kind: &str, options: &Options) -> anyhow::Result<()> {
    let people = options.people;
    let (mut ours, mut bare, mut peak) = (Series::default(), Series::default(), Series::default());
    let (mut without, mut with) = (Series::default(), Series::default());
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let each = |size: f64| size / people as f64;
    for round in 1..=options.rounds {
        eprintln!("{kind}, round {round}");
        let site = with_people(kind, &format!("none{round}"), "none", people)?;
        without.push(each(size(&site).await?));
        let site = with_people(kind, &format!("exact{round}"), "exact", people)?;
        with.push(each(size(&site).await?));
        let (seen, result) = site.admin.last_line(&["index", "rotate", "--yes", "--json"])?;
        ensure!(result["outcome"] == "completed", "{result}");
        ours.push_rate(2 * people, seen.took);
        peak.push(f64::from(seen.peak) / 1024.0);
        let db = connect(&site).await?;
        let rows = bare::read(&db, people, &["blind_indexes"]).await?;
        db.close().await?;
        let site = Site::new(kind, &format!("bare{round}"), &searched("exact"))?;
        bare.push_rate(2 * people, bare::write(&connect(&site).await?, &rows).await?);
    }
    println!(
        "| {kind} | {} | {} | {} | {} | {}, {} |",
        ours.show(0),
        bare.show(0),
        ours.ratios(&bare).show(2),
        peak.show(1),
        without.show(0),
        with.show(0),
    );
    Ok(())
}
