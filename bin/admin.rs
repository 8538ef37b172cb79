//! `oubliette-admin`: the command tree.

use std::{
    io::{ErrorKind, Write},
    process::ExitCode,
};

use clap::Parser;
use oubliette::{
    admin::Command,
    causes,
    config::ConfigArguments,
    memory::{self, WipingAllocator},
};

#[global_allocator]
static ALLOCATOR: WipingAllocator = memory::wiping_allocator();

/// Looks after an Oubliette: schema, configuration, keys
#[derive(Debug, Parser)]
#[command(
    name = "oubliette-admin",
    version,
    after_help = "Examples:\n  oubliette-admin migrate --dry-run\n  oubliette-admin config --json\n  oubliette-admin keys status"
)]
struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(subcommand)]
    command: Command,
}

#[tokio::main]
async fn main() -> ExitCode {
    causes::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let output = arguments.command.run(arguments.config).await?;
    match std::io::stdout().write_all(output.as_bytes()) {
        // Whoever reads has seen enough: `oubliette-admin schema | head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
