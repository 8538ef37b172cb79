//! `oubliette-admin`: one file per command. Data goes to standard output, the rest to standard error.

mod attributes;
mod audit;
mod chain;
mod completions;
mod config;
mod context;
mod export;
mod index;
mod keys;
mod ledger;
mod migrate;
mod pace;
mod runs;
mod schema;
mod terminal;
mod tokens;
mod users;

use clap::Subcommand;

pub use terminal::Output;

use crate::{
    config::{ConfigArguments, ConfigSources, LoadedConfig},
    memory,
};

/// What an operator can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(about = "Bring the database to this release's schema")]
    Migrate(migrate::Migrate),
    #[command(about = "Print the GraphQL schema (SDL), as schema.graphql holds it")]
    Schema,
    #[command(about = "Print the effective configuration, each value with what set it, secrets redacted")]
    Config(config::Config),
    #[command(about = "Look after data keys and wrapping keys")]
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(about = "Read the erasure ledger, check it, and adopt one that went back")]
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    #[command(
        about = "Bring users in from a file, take them out, look at them, forget them, without the API"
    )]
    #[command(subcommand)]
    Users(users::UsersCommand),
    #[command(
        about = "Look at the values of declared attributes, and remove those of one that is not declared any more"
    )]
    #[command(subcommand)]
    Attributes(attributes::AttributesCommand),
    #[command(about = "Look after what people are found by: build indexes, and begin new epochs")]
    #[command(subcommand)]
    Index(index::IndexCommand),
    #[command(about = "Say who may call the API")]
    #[command(subcommand)]
    Tokens(tokens::Tokens),
    #[command(about = "Read the audit trail, and check it")]
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    #[command(about = "Print a shell's completions")]
    Completions(completions::Completions),
}

impl Command {
    /// Runs the command, and gives what it prints to standard output. `program` is the whole command tree.
    ///
    /// # Errors
    ///
    /// What kept it from being done.
    pub async fn run(self, arguments: ConfigArguments, program: clap::Command) -> anyhow::Result<Output> {
        match self {
            Self::Schema => Ok(schema::run().into()),
            Self::Migrate(migrate) => Ok(migrate.run(&load(arguments)?).await?.into()),
            Self::Config(config) => Ok(config.run(&ConfigSources::from(arguments).load()?)?.into()),
            Self::Keys(keys) => keys.run(&load(arguments)?).await,
            Self::Ledger(ledger) => ledger.run(&load(arguments)?).await,
            Self::Users(users) => users.run(&load(arguments)?).await,
            Self::Attributes(attributes) => attributes.run(&load(arguments)?).await,
            Self::Index(index) => index.run(&load(arguments)?).await,
            Self::Tokens(tokens) => tokens.run(&load(arguments)?).await,
            Self::Audit(audit) => audit.run(&load(arguments)?).await,
            Self::Completions(completions) => Ok(completions.run(program).into()),
        }
    }
}

/// The configuration, for a command that handles secrets.
fn load(arguments: ConfigArguments) -> anyhow::Result<LoadedConfig> {
    let loaded = ConfigSources::from(arguments).load()?;
    memory::harden(&loaded.config.memory)?;
    Ok(loaded)
}
