use clap::Args;

use crate::{
    admin::{chain, context::connect, terminal::Output},
    audit,
    config::LoadedConfig,
};

/// Prints the trail's head, SEQUENCE:DIGEST, to be kept where nobody who can write to the database can.
///
/// It fixes every event up to there: `audit verify --head` finds what was changed since, even if the whole trail was
/// written anew.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin audit head
  oubliette-admin audit head --json")]
pub struct HeadCommand {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl HeadCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let db = connect(loaded).await?;
        let head = audit::head(&db).await?;
        db.close().await?;
        chain::head(head, "the audit trail", self.json)
    }
}
