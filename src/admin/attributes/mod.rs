//! `oubliette-admin attributes`: what is stored of declared attributes.

mod check;
mod list;
mod purge;

use clap::Subcommand;

use super::terminal::Output;
use crate::config::LoadedConfig;

/// What an operator can do with attributes. They are declared in the configuration, under `[attributes]`.
#[derive(Debug, Subcommand)]
pub enum AttributesCommand {
    #[command(
        about = "List the attributes that are declared, and those of which there are values all the same"
    )]
    List(list::List),
    #[command(
        about = "Open all values of declared attributes, and list those that their declarations do not permit any more"
    )]
    Check(check::Check),
    #[command(about = "Remove all values of an attribute that is not declared any more")]
    Purge(purge::Purge),
}

impl AttributesCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        match self {
            Self::List(list) => list.run(loaded).await,
            Self::Check(check) => check.run(loaded).await,
            Self::Purge(purge) => purge.run(loaded).await,
        }
    }
}
