//! `oubliette-admin`: the command tree.

use std::{
    io::{ErrorKind, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use oubliette::{
    admin::Command,
    config::ConfigArguments,
    exit,
    memory::{self, WipingAllocator},
};

#[global_allocator]
static ALLOCATOR: WipingAllocator = memory::wiping_allocator();

/// Looks after an Oubliette: schema, configuration, keys, audit trail
#[derive(Debug, Parser)]
#[command(
    name = "oubliette-admin",
    version,
    after_help = "Examples:\n  oubliette-admin migrate --dry-run\n  oubliette-admin config --json\n  oubliette-admin keys status\n  oubliette-admin keys rewrap --dry-run"
)]
struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(subcommand)]
    command: Command,
}

#[tokio::main]
async fn main() -> ExitCode {
    run().await.unwrap_or_else(|error| exit::exit_code(Err(error)))
}

async fn run() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let output = Box::pin(arguments.command.run(arguments.config, Arguments::command())).await?;
    // Without colours, unless it is a terminal that has some, and nobody said NO_COLOR.
    match anstream::stdout().write_all(output.text.as_bytes()) {
        // The reader has seen enough: `oubliette-admin schema | head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(output.status.into())
}
