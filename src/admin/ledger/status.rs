use clap::Args;
use serde_json::json;

use super::{line, object};
use crate::{
    admin::{
        context::connect,
        terminal::{self, Output},
    },
    config::LoadedConfig,
    ledger::{self, rollbacks},
};

/// Shows where the erasure ledger ends, and the rollbacks that wait for `ledger adopt`. Changes nothing.
///
/// Exit status: 0 if nothing waits, 1 if something does.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  oubliette-admin ledger status")]
pub struct Status {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let db = connect(loaded).await?;
        let end = ledger::end(&db).await?;
        let waiting = rollbacks::waiting_or(&db, &[]).await?;
        db.close().await?;
        let digest = hex::encode(end.digest);
        let text = if self.json {
            terminal::json(&json!({
                "sequence": end.sequence, "digest": digest,
                "waiting": waiting.iter().map(object).collect::<Vec<_>>(),
            }))?
        } else {
            let mut text = format!("sequence   {}\ndigest     {digest}\n", end.sequence);
            for rollback in &waiting {
                text.push_str(&line(rollback));
                text.push('\n');
            }
            text
        };
        Ok(if waiting.is_empty() { text.into() } else { Output::unwell(text) })
    }
}
