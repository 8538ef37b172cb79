//! `oubliette-admin audit`: the audit trail, without the API.

mod export;
mod head;
mod verify;

use clap::Subcommand;

use super::terminal::Output;
use crate::config::LoadedConfig;

/// What an operator can do with the audit trail.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    #[command(about = "Check the whole trail: whether anything was changed, deleted, moved, or cut off")]
    Verify(verify::Verify),
    #[command(about = "Print the trail's head, to be kept elsewhere")]
    Head(head::HeadCommand),
    #[command(about = "Print the events")]
    Export(export::Export),
}

impl AuditCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        match self {
            Self::Verify(verify) => verify.run(loaded).await,
            Self::Head(head) => head.run(loaded).await,
            Self::Export(export) => export.run(loaded).await,
        }
    }
}
