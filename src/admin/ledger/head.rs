use clap::Args;

use crate::{
    admin::{chain, context::connect, terminal::Output},
    config::LoadedConfig,
    ledger,
};

/// Prints the ledger's head, SEQUENCE:DIGEST, to be kept where nobody who can write to the database can.
///
/// It fixes every entry up to there: `ledger verify --head` finds what was changed since, even if the whole ledger was
/// written anew.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin ledger head
  oubliette-admin ledger head --json")]
pub struct HeadCommand {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl HeadCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let db = connect(loaded).await?;
        let head = ledger::head(&db).await?;
        db.close().await?;
        chain::head(head, "the erasure ledger", self.json)
    }
}
