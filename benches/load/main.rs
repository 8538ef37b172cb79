//! The load run: Oubliette beside a bare server over the same rows, on one machine, in turns.
//!
//!     cargo bench --bench load                # the run that docs/performance.md shows
//!     cargo bench --bench load -- --quick     # does it still work?
//!     cargo bench --bench load -- attack      # a normal client while others attack
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

use clap::Parser;
use contender::Contender;
use options::Options;

/// The bare server's allocator is Oubliette's, so that the comparison shows our layers and nothing else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The two servers of a comparison, or what was found out about each.
#[derive(Debug)]
struct Pair<T> {
    oubliette: T,
    bare: T,
}

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == bare::COMMAND).is_some() {
        return bare::run(arguments).map(|()| ExitCode::SUCCESS);
    }
    let options = Options::parse();
    if !options.attack() && !options.asked_for() {
        return Ok(ExitCode::SUCCESS);
    }
    // One thread: the load generator shares the processors with the server that it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if options.attack() { attack::run(&options).await } else { compare(&options).await }
    })
}

async fn compare(options: &Options) -> anyhow::Result<ExitCode> {
    eprintln!("starting PostgreSQL");
    let postgres = postgres::server();
    postgres.create_database("oubliette");
    postgres.create_database("bare");
    let contenders = Pair {
        oubliette: Contender::oubliette(&postgres.url("oubliette"), postgres.directory(), options),
        bare: Contender::bare(&postgres.url("bare"), postgres.directory(), options)?,
    };

    let first = contenders.oubliette.start().await?;
    let first_start = first.started_in;
    eprintln!("creating {} users", options.users);
    let population = population::create(first.address, options).await?;
    drop(first);
    population::copy(&population, postgres, "bare");
    for database in ["oubliette", "bare"] {
        postgres.psql(database, "VACUUM ANALYZE");
    }
    postgres.checkpoint();

    let starts = measure::starts(&contenders, options).await?;
    let mut wrong = false;
    report::print_head(options, postgres);
    report::print_starts(first_start, &starts);
    for load in loads::ALL {
        let results = measure::load(&load, &contenders, &population, postgres, options).await?;
        report::print_load(&load, &results);
        wrong |= results.oubliette.wrong() || results.bare.wrong();
    }
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
