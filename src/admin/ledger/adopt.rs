use clap::Args;
use serde_json::json;

use super::{line, object};
use crate::{
    admin::{
        context::{Actor, connect},
        terminal::{self, Output, confirm, counted, say},
    },
    config::LoadedConfig,
    ledger::rollbacks,
};

/// Adopts the erasure ledger as it is, after it went back: a standby took over that did not have its last entries, or a
/// backup was restored.
///
/// Until then, servers answer nothing personal. First forget again whom the lost entries named: from the receipts, the old
/// primary, a later backup, or the log lines `user forgotten`. Forgetting works meanwhile. Servers go on at their next look
/// (peers.poll_interval).
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin ledger status
  oubliette-admin ledger adopt")]
pub struct Adopt {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

impl Adopt {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let db = connect(loaded).await?;
        let waiting = rollbacks::waiting_or(&db, &[]).await?;
        if waiting.is_empty() {
            db.close().await?;
            return Ok(if self.json {
                terminal::json(&json!({ "adopted": [] }))?
            } else {
                "nothing waits to be adopted\n".to_owned()
            }
            .into());
        }
        if !self.json {
            for rollback in &waiting {
                say(&line(rollback));
            }
            say("whoever was forgotten there, and is in the database again, is answered about from then on");
        }
        if !confirm("Adopt the ledger as it is?", self.yes)? {
            return Ok(Output { text: "nothing was done\n".to_owned(), status: 1 });
        }
        let adopted = rollbacks::adopt(&db, &waiting, &self.actor.origin()).await?;
        db.close().await?;
        if self.json {
            let list: Vec<_> = adopted.iter().map(object).collect();
            return Ok(terminal::json(&json!({ "adopted": list }))?.into());
        }
        Ok(format!("{} adopted\n", counted(adopted.len() as u64, "rollback")).into())
    }
}
