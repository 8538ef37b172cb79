//! `oubliette-admin`: the command tree.

use std::io::{ErrorKind, Write};

use clap::Parser;
use oubliette::{admin::Command, config::ConfigArguments};

/// Looks after an Oubliette: schema, configuration, keys
#[derive(Debug, Parser)]
#[command(version, after_help = "Examples:\n  oubliette-admin migrate --profile aws\n  oubliette-admin config --json\n  oubliette-admin keys status")]
struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(subcommand)]
    command: Command,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let output = arguments.command.run(arguments.config).await?;
    match std::io::stdout().write_all(output.as_bytes()) {
        // Whoever reads has seen enough: `oubliette-admin schema | head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
