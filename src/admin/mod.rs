//! `oubliette-admin`: one file per command. Data goes to standard output, the rest to standard error.

mod config;
mod keys_status;
mod migrate;
mod schema;

use clap::Subcommand;

use crate::{
    config::{ConfigArguments, ConfigSources, LoadedConfig},
    memory,
};

/// What an operator can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the database to this release's schema
    Migrate(migrate::Migrate),
    /// Print the GraphQL schema (SDL), as schema.graphql holds it
    Schema,
    /// Print the effective configuration, each value with what set it, secrets redacted
    Config(config::Config),
    /// Look after data keys
    #[command(subcommand)]
    Keys(KeysCommand),
}

/// What an operator can do with data keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Count the data keys under each wrapping key
    Status(keys_status::Status),
}

impl Command {
    /// Runs the command, and gives what it prints to standard output.
    ///
    /// # Errors
    ///
    /// What kept it from being done.
    pub async fn run(self, arguments: ConfigArguments) -> anyhow::Result<String> {
        match self {
            Self::Schema => Ok(schema::run()),
            Self::Migrate(migrate) => migrate.run(&load(arguments)?).await,
            Self::Config(config) => config.run(&ConfigSources::from(arguments).load()?),
            Self::Keys(KeysCommand::Status(status)) => status.run(&load(arguments)?).await,
        }
    }
}

/// The configuration, for a command that handles secrets.
fn load(arguments: ConfigArguments) -> anyhow::Result<LoadedConfig> {
    let loaded = ConfigSources::from(arguments).load()?;
    memory::harden(&loaded.config.memory)?;
    Ok(loaded)
}

/// Rows with aligned columns, the header first.
fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].len()]).max().unwrap_or_default()
    });
    let header = header.map(str::to_owned);
    let mut text = String::new();
    for row in std::iter::once(&header).chain(rows) {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
