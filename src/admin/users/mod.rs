//! `oubliette-admin users`: what somebody on call needs without the API, and bringing and taking many.

mod export;
mod fields;
mod forget;
mod import;
mod show;

use clap::Subcommand;

use super::terminal::Output;
use crate::config::LoadedConfig;

/// What an operator can do with a user.
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    #[command(about = "Forget a user: destroy the data keys and the row, and record the erasure")]
    Forget(forget::Forget),
    #[command(about = "Bring people in from a CSV or JSON Lines file")]
    Import(import::ImportCommand),
    #[command(about = "Print users as JSON Lines, personal values masked")]
    Export(export::ExportCommand),
    #[command(about = "Show a user, personal values masked")]
    Show(show::Show),
}

impl UsersCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        match self {
            Self::Forget(forget) => forget.run(loaded).await,
            Self::Import(import) => import.run(loaded).await,
            Self::Export(export) => export.run(loaded).await,
            Self::Show(show) => show.run(loaded).await,
        }
    }
}
