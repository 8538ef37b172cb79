//! What the command line says.

use std::path::PathBuf;

use clap::Parser;

/// Compares Oubliette with a bare server: requests per second, latency, CPU time, memory.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(name = "cargo bench --bench load --")]
pub(crate) struct Options {
    /// How long each round of each server lasts
    #[arg(long, value_name = "SECONDS", default_value = "10", default_value_if("quick", "true", "1"))]
    pub(crate) seconds: u64,

    /// How many rounds each server has, per load
    #[arg(long, value_name = "COUNT", default_value = "5", default_value_if("quick", "true", "2"),
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,

    /// How many connections ask at the same time
    #[arg(long, value_name = "COUNT", default_value = "32",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,

    /// How many users there are
    #[arg(long, value_name = "COUNT", default_value = "10000", default_value_if("quick", "true", "1000"),
        value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) users: u32,

    /// How many database connections each server may have
    #[arg(long, value_name = "COUNT", default_value = "16")]
    pub(crate) pool: u32,

    /// How often each server is started to see how long that takes
    #[arg(long, value_name = "COUNT", default_value = "7", default_value_if("quick", "true", "3"),
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) starts: u32,

    /// Compares Oubliette with itself instead: access control and audit on, beside both off
    #[arg(long)]
    pub(crate) guards: bool,

    /// Compares Oubliette with itself instead: a user found by the e-mail address, beside one read by the id
    #[arg(long, conflicts_with_all = ["guards", "attack", "cold", "before"])]
    pub(crate) find: bool,

    /// Keeps no data key open: each request opens those that it needs
    #[arg(long, conflicts_with_all = ["guards", "attack"])]
    pub(crate) cold: bool,

    /// Compares Oubliette also with another commit of itself: a clone in which `cargo build --profile dist` was run, or
    /// `--release` if it has no such profile
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["guards", "attack"])]
    pub(crate) before: Option<PathBuf>,

    /// Measures instead what a normal client feels while others attack
    #[arg(long, conflicts_with = "guards")]
    pub(crate) attack: bool,

    /// Short rounds over few users: shows that the run works, not how fast anything is
    #[arg(long)]
    pub(crate) quick: bool,

    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,

    /// What `cargo bench FILTER` passes to every bench
    #[arg(hide = true)]
    filter: Option<String>,
}

impl Options {
    /// Whether it is this bench that is meant, and not another one, or `cargo test --benches`.
    pub(crate) fn asked_for(&self) -> bool {
        self.bench && self.filter.as_deref().is_none_or(|filter| "load".contains(filter))
    }
}
