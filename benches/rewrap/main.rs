//! `oubliette-admin keys rewrap`, as a process, beside the least that any tool would have to do.
//!
//!     cargo bench --bench rewrap              # the run that docs/performance.md shows
//!     cargo bench --bench rewrap -- --quick   # does it still work?
//!     cargo bench --bench rewrap -- --help
//!
//! Needs Linux (it reads `/proc`), PostgreSQL's server binaries, and the LocalStack that `tests/run` installs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is printed")]

mod command;
mod durable;
mod kms;
mod local;
#[path = "../../tests/it/harness/localstack.rs"]
#[expect(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "made for tests, and shared with them"
)]
mod localstack;
mod population;
#[path = "../../tests/it/harness/postgres.rs"]
#[expect(dead_code, clippy::expect_used, clippy::panic, reason = "made for tests, and shared with them")]
mod postgres;
#[path = "../load/procfs.rs"]
#[expect(dead_code, reason = "the load run uses the rest")]
mod procfs;
mod series;

use clap::Parser;

/// Compares `keys rewrap` with a bare UPDATE, and with bare calls to `ReEncrypt`.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench rewrap --")]
struct Options {
    /// How many data keys there are under local keys
    #[arg(long, value_name = "COUNT", default_value = "200000", default_value_if("quick", "true", "20000"))]
    data_keys: usize,

    /// How many of them the memory is compared with
    #[arg(long, value_name = "COUNT", default_value = "10000", default_value_if("quick", "true", "2000"))]
    few_data_keys: usize,

    /// How many data keys there are in LocalStack
    #[arg(long, value_name = "COUNT", default_value = "6000", default_value_if("quick", "true", "200"))]
    kms_data_keys: usize,

    /// How many calls to LocalStack are made at the same time
    #[arg(long, value_name = "COUNT", default_value = "16")]
    concurrency: usize,

    /// How many rounds each contender has
    #[arg(long, value_name = "COUNT", default_value = "5", default_value_if("quick", "true", "2"))]
    rounds: usize,

    /// Few data keys: shows that the run works, not how fast anything is
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
    if !options.bench || options.filter.as_deref().is_some_and(|filter| !"rewrap".contains(filter)) {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        durable::wait_for_the_disk();
        local::compare(&options).await?;
        kms::compare(&options).await
    })
}
