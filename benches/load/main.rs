//! The load run: Oubliette beside a bare server over the same rows, on one machine, in turns.
//!
//!     cargo bench --bench load                # the run that docs/performance.md shows
//!     cargo bench --bench load -- --cold      # the same with no data key open
//!     cargo bench --bench load -- --before F  # also beside another commit, built in the clone F
//!     cargo bench --bench load -- --guards    # the same with itself: access control and audit on, beside both off
//!     cargo bench --bench load -- --find      # a user by the e-mail address, beside one by the id
//!     cargo bench --bench load -- --attack    # what a normal client feels while others attack
//!     cargo bench --bench load -- --quick     # does it still work?
//!     cargo bench --bench load -- --help
//!
//! Needs Linux (it reads `/proc`) and PostgreSQL's server binaries. Knows Oubliette only by its binary,
//! its environment and its HTTP interface.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is printed")]

mod attack;
mod bare;
mod client;
mod contender;
mod generator;
mod loads;
mod measure;
mod options;
mod population;
#[path = "../../tests/it/harness/postgres.rs"]
#[expect(dead_code, clippy::expect_used, clippy::panic, reason = "made for tests, and shared with them")]
mod postgres;
mod procfs;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use contender::Contender;
use loads::Load;
use options::Options;
use population::Population;
use postgres::Postgres;

/// The bare server's allocator is Oubliette's, so that the comparison shows our layers and nothing else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The two servers of a comparison, or what was found out about each.
#[derive(Debug)]
struct Pair<T> {
    tested: T,
    baseline: T,
}

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == bare::COMMAND).is_some() {
        return bare::run(arguments).map(|()| ExitCode::SUCCESS);
    }
    let options = Options::parse();
    if !options.asked_for() {
        return Ok(ExitCode::SUCCESS);
    }
    // One thread: the load generator shares the processors with the server that it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if options.attack {
            attack::run(&options).await
        } else if options.guards {
            guards(&options).await
        } else if options.find {
            find(&options).await
        } else {
            bare_server(&options).await
        }
    })
}

/// Oubliette beside the bare server.
async fn bare_server(options: &Options) -> anyhow::Result<ExitCode> {
    let (postgres, tested, first_start, population) = populated(options).await?;
    postgres.create_database("bare");
    population::copy(&population, postgres, "bare");
    settle(postgres, &["oubliette", "bare"]);
    let baseline = Contender::bare(&postgres.url("bare"), postgres.directory(), options)?;
    let contenders = Pair { tested, baseline };
    let starts = measure::starts(&contenders, options).await?;
    report::print_head(options, postgres);
    report::print_starts(first_start, &starts);
    let aims = if options.cold { [0.75, 0.5] } else { [0.95, 1.1] };
    let compared = compare(&contenders, loads::all(aims.map(Some)), &population, postgres, options).await?;
    let Some(folder) = &options.before else { return Ok(compared) };
    let baseline = Contender::before(folder, &postgres.url("before"), postgres.directory(), options);
    let contenders = Pair { baseline, ..contenders };
    let beside = compare(&contenders, loads::all([None, None]), &population, postgres, options).await?;
    Ok(if compared == ExitCode::SUCCESS { beside } else { compared })
}

/// Oubliette beside itself: access control and audit on, beside both off.
async fn guards(options: &Options) -> anyhow::Result<ExitCode> {
    let (postgres, oubliette, _, population) = populated(options).await?;
    settle(postgres, &["oubliette"]);
    let mut baseline = oubliette.counting();
    baseline.name = "off";
    report::print_head(options, postgres);
    let mut code = ExitCode::SUCCESS;
    for (reads, name, aims) in [
        ("best-effort", "tokens, reads = \"best-effort\"", [Some(0.95), Some(0.9)]),
        ("required", "tokens, reads = \"required\"", [Some(0.85), Some(0.6)]),
    ] {
        let tested = baseline.guarded(name, reads)?;
        let contenders = Pair { tested, baseline: baseline.clone() };
        let compared = compare(&contenders, loads::all(aims), &population, postgres, options).await?;
        if compared != ExitCode::SUCCESS {
            code = compared;
        }
    }
    Ok(code)
}

/// Oubliette beside itself, with access control and the same audit: a user by the e-mail address, beside one by the id.
async fn find(options: &Options) -> anyhow::Result<ExitCode> {
    let (postgres, oubliette, _, population) = populated(options).await?;
    settle(postgres, &["oubliette"]);
    report::print_head(options, postgres);
    let mut code = ExitCode::SUCCESS;
    for (reads, name) in
        [("off", "by e-mail, reads = \"off\""), ("required", "by e-mail, reads = \"required\"")]
    {
        let tested = oubliette.clone().counting().guarded(name, reads)?;
        let mut baseline = tested.elsewhere();
        baseline.name = "by id";
        let contenders = Pair { tested, baseline };
        let compared = compare(&contenders, [loads::find()], &population, postgres, options).await?;
        if compared != ExitCode::SUCCESS {
            code = compared;
        }
    }
    Ok(code)
}

/// PostgreSQL, and Oubliette on it, which has created the users; and how long its first start took.
async fn populated(
    options: &Options,
) -> anyhow::Result<(&'static Postgres, Contender, Duration, Population)> {
    eprintln!("starting PostgreSQL");
    let postgres = postgres::server();
    postgres.create_database("oubliette");
    let oubliette =
        Contender::oubliette(&postgres.url("oubliette"), postgres.directory(), options).unlimited();
    // What an older server wrote, this one reads; not the other way round.
    let (first, maker) = match &options.before {
        None => (oubliette.start().await?, None),
        Some(folder) => {
            let empty = oubliette.start().await?;
            postgres.psql("postgres", "CREATE DATABASE before");
            let maker = Contender::before(folder, &postgres.url("before"), postgres.directory(), options);
            (empty, Some(maker.start().await?))
        }
    };
    eprintln!("creating {} users", options.users);
    let population =
        population::create(maker.as_ref().map_or(first.address, |maker| maker.address), options).await?;
    let started_in = first.started_in;
    if maker.is_some() {
        drop((first, maker));
        postgres.psql("postgres", "DROP DATABASE oubliette WITH (FORCE)");
        postgres.psql("postgres", DISCONNECT);
        postgres.psql("postgres", "CREATE DATABASE oubliette TEMPLATE before");
        drop(oubliette.start().await?);
        settle(postgres, &["before"]);
    }
    Ok((postgres, oubliette, started_in, population))
}

/// A database that is copied must have no connection; the server that was killed may have some for a moment.
const DISCONNECT: &str =
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'before'";

/// What PostgreSQL would otherwise do in the middle of a measurement.
fn settle(postgres: &Postgres, databases: &[&str]) {
    for database in databases {
        postgres.psql(database, "VACUUM ANALYZE");
    }
    postgres.checkpoint();
}

async fn compare<const N: usize>(
    contenders: &Pair<Contender>,
    loads: [Load; N],
    population: &Population,
    postgres: &Postgres,
    options: &Options,
) -> anyhow::Result<ExitCode> {
    let names = Pair { tested: contenders.tested.name, baseline: contenders.baseline.name };
    report::print_comparison(&names);
    let mut wrong = false;
    for load in loads {
        let results = measure::load(&load, contenders, population, postgres, options).await?;
        report::print_load(&load, &names, &results);
        wrong |= results.tested.wrong() || results.baseline.wrong();
    }
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
