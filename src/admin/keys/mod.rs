//! `oubliette-admin keys`: data keys, and the wrapping keys they are under.

mod local;
mod retire;
mod retire_check;
mod rewrap;
mod rotate;
mod status;
mod verify;

use clap::Subcommand;

use super::terminal::Output;
use crate::config::LoadedConfig;

/// What an operator can do with data keys and wrapping keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    #[command(about = "Count the data keys under each wrapping key, and show the last runs")]
    Status(status::Status),
    #[command(about = "Move data keys to another wrapping key, while servers serve")]
    Rewrap(rewrap::RewrapCommand),
    #[command(
        about = "Give subjects fresh data keys, and seal their attributes anew: after a data key leaked"
    )]
    Rotate(rotate::RotateCommand),
    #[command(about = "Open everything, and report what does not open")]
    Verify(verify::Verify),
    #[command(
        about = "Let nothing new come under a wrapping key, and say whether any data key needs it still"
    )]
    Retire(retire::Retire),
    #[command(about = "Say whether a wrapping key can be destroyed. Changes nothing")]
    RetireCheck(retire_check::RetireCheck),
    #[command(about = "Manage the wrapping keys of a local key file")]
    #[command(subcommand)]
    Local(local::Local),
}

impl Keys {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        match self {
            Self::Status(status) => status.run(loaded).await,
            Self::Rewrap(rewrap) => rewrap.run(loaded).await,
            Self::Rotate(rotate) => rotate.run(loaded).await,
            Self::Verify(verify) => verify.run(loaded).await,
            Self::Retire(retire) => retire.run(loaded).await,
            Self::RetireCheck(check) => check.run(loaded).await,
            Self::Local(local) => local.run(loaded).await,
        }
    }
}
