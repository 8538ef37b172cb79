//! `oubliette-admin users import`, as a process, beside a bare batched INSERT of the rows that it wrote, and beside creating users one by one.
//!
//!     cargo bench --bench import              # the run that docs/performance.md shows
//!     cargo bench --bench import -- --quick   # does it still work?
//!     cargo bench --bench import -- --help
//!
//! Needs Linux (it reads `/proc`) and PostgreSQL's server binaries.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is printed")]

mod bare;
#[path = "../rewrap/command.rs"]
#[expect(dead_code, reason = "the rewrap run uses the rest")]
mod command;
mod copied;
#[path = "../rewrap/durable.rs"]
mod durable;
mod people;
#[path = "../../tests/it/harness/postgres.rs"]
#[expect(dead_code, clippy::expect_used, clippy::panic, reason = "made for tests, and shared with them")]
mod postgres;
#[path = "../load/procfs.rs"]
#[expect(dead_code, reason = "the load run uses the rest")]
mod procfs;
#[path = "../rewrap/series.rs"]
mod series;
mod single;
mod site;

use std::{fs, path::Path};

use anyhow::ensure;
use clap::Parser;
use oubliette::database;
use tempfile::TempDir;

use command::Seen;
use series::Series;
use site::Site;

/// The tables that an import writes to.
const TABLES: [&str; 5] = ["users", "personal_values", "data_keys", "blind_indexes", "audit_events"];

/// Compares `users import` with a bare INSERT, and with single creations.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench import --")]
struct Options {
    /// How many people there are in the file, each with four attributes
    #[arg(long, value_name = "COUNT", default_value = "200000", default_value_if("quick", "true", "4000"))]
    people: usize,

    /// How many of them are created one by one
    #[arg(long, value_name = "COUNT", default_value = "10000", default_value_if("quick", "true", "500"))]
    single: usize,

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
    if !options.bench || options.filter.as_deref().is_some_and(|filter| !"import".contains(filter)) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        durable::wait_for_the_disk();
        println!("### {} people with four attributes, {} rounds\n", options.people, options.rounds);
        println!(
            "| people per second, median (min–max) | import | the same again | bare INSERT | import / INSERT | bare COPY | import / COPY | one by one | import / one by one | peak \
             memory, MiB: a twentieth of them, all |"
        );
        println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        for kind in ["SQLite", "PostgreSQL"] {
            compare(kind, &options).await?;
        }
        Ok(())
    })
}

fn import(site: &Site, file: &Path, people: usize, outcome: &str) -> anyhow::Result<Seen> {
    let file = file.display().to_string();
    let (seen, result) = site.admin.last_line(&["users", "import", &file, "--json"])?;
    ensure!(result[outcome] == people && result["people"] == people, "{result}");
    Ok(seen)
}

async fn compare(kind: &str, options: &Options) -> anyhow::Result<()> {
    let (folder, count) = (TempDir::new()?, options.people);
    let (file, few) = (folder.path().join("people.csv"), folder.path().join("few.csv"));
    fs::write(&file, people::csv(count))?;
    fs::write(&few, people::csv(count / 20))?;
    let (mut ours, mut again, mut bare, mut single) =
        (Series::default(), Series::default(), Series::default(), Series::default());
    let (mut copy, mut little, mut peak) = (Series::default(), Series::default(), Series::default());
    for round in 1..=options.rounds {
        eprintln!("{kind}, round {round}");
        let site = Site::new(kind, &format!("few{round}"), people::ATTRIBUTES)?;
        little.push(f64::from(import(&site, &few, count / 20, "created")?.peak) / 1024.0);
        let site = Site::new(kind, &format!("import{round}"), people::ATTRIBUTES)?;
        let seen = import(&site, &file, count, "created")?;
        ours.push_rate(count, seen.took);
        peak.push(f64::from(seen.peak) / 1024.0);
        let db = database::connect(&site.config()?).await?;
        let rows = bare::read(&db, count, &TABLES).await?;
        let copied = match kind {
            "PostgreSQL" => Some(copied::read(db.get_postgres_connection_pool(), count).await?),
            _ => None,
        };
        db.close().await?;
        again.push_rate(count, import(&site, &file, count, "same")?.took);
        drop(site);
        let site = Site::new(kind, &format!("bare{round}"), people::ATTRIBUTES)?;
        bare.push_rate(count, bare::write(&database::connect(&site.config()?).await?, &rows).await?);
        if let Some(rows) = copied {
            let site = Site::new(kind, &format!("copy{round}"), people::ATTRIBUTES)?;
            let db = database::connect(&site.config()?).await?;
            copy.push_rate(count, copied::write(db.get_postgres_connection_pool(), &rows).await?);
        }
        let site = Site::new(kind, &format!("single{round}"), people::ATTRIBUTES)?;
        let key_file = site.folder.path().join("keys.toml");
        let took =
            single::create(database::connect(&site.config()?).await?, &key_file, options.single).await?;
        single.push_rate(options.single, took);
    }
    let (copy, by_copy) = match kind {
        "PostgreSQL" => (copy.show(0), ours.ratios(&copy).show(2)),
        _ => (String::new(), String::new()),
    };
    println!(
        "| {kind} | {} | {} | {} | {} | {copy} | {by_copy} | {} | {} | {}, {} |",
        ours.show(0),
        again.show(0),
        bare.show(0),
        ours.ratios(&bare).show(2),
        single.show(0),
        ours.ratios(&single).show(1),
        little.show(1),
        peak.show(1),
    );
    Ok(())
}
