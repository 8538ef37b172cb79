use clap::Args;
use serde_json::json;

use crate::{
    access::tokens,
    admin::{
        office::{Actor, connect},
        terminal::{self, Output, time},
    },
    config::LoadedConfig,
};

/// Ends a token. All servers refuse it within two seconds. What it has begun is still finished.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  oubliette-admin tokens revoke billing")]
pub struct Revoke {
    /// The token's name or id, as `tokens list` shows it
    token: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

impl Revoke {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let db = connect(loaded).await?;
        let row = tokens::revoke(&db, &self.token, &self.actor.origin()).await?;
        db.close().await?;
        let revoked_at = row.revoked_at.map(time);
        if self.json {
            let object = json!({ "id": row.id.to_string(), "name": row.name, "revoked_at": revoked_at });
            return Ok(terminal::json(&object)?.into());
        }
        Ok(format!("token `{}` is revoked since {}\n", row.name, revoked_at.unwrap_or_default()).into())
    }
}
