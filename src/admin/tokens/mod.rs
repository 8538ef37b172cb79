//! `oubliette-admin tokens`: who may call the API.

mod create;
mod list;
mod revoke;

use clap::Subcommand;

use super::terminal::Output;
use crate::config::LoadedConfig;

/// What an operator can do with tokens.
#[derive(Debug, Subcommand)]
pub enum Tokens {
    #[command(about = "Make a token, and show it once")]
    Create(create::Create),
    #[command(about = "List tokens: what they allow, when they end, when they were used last")]
    List(list::List),
    #[command(about = "End a token, on all servers, within seconds")]
    Revoke(revoke::Revoke),
}

impl Tokens {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        match self {
            Self::Create(create) => create.run(loaded).await,
            Self::List(list) => list.run(loaded).await,
            Self::Revoke(revoke) => revoke.run(loaded).await,
        }
    }
}
