//! `oubliette-admin index`: what people are found by.

mod build;
mod retire;
mod status;

use clap::Subcommand;

use super::terminal::Output;
use crate::config::LoadedConfig;

/// What an operator can do with what people are found by.
#[derive(Debug, Subcommand)]
pub enum IndexCommand {
    #[command(
        about = "Build the indexes that this configuration needs and the database lacks, while servers serve"
    )]
    Build(build::BuildCommand),
    #[command(
        about = "Begin a new epoch: new tags under a new index key, then the old ones and their key go"
    )]
    Rotate(build::RotateCommand),
    #[command(about = "Show the indexes, with the number of their tags and what is to be done")]
    Status(status::Status),
    #[command(
        about = "Delete the tags of indexes that nobody is found by any more, and the index keys that none needs"
    )]
    Retire(retire::RetireCommand),
}

impl IndexCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        match self {
            Self::Build(build) => build.run(loaded).await,
            Self::Rotate(rotate) => rotate.run(loaded).await,
            Self::Status(status) => status.run(loaded).await,
            Self::Retire(retire) => retire.run(loaded).await,
        }
    }
}
