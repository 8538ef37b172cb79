use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::json;

use crate::{
    access::{revocation, tokens},
    admin::{
        context::{Actor, connect},
        terminal::{self, Output, confirm, counted, say, time},
    },
    config::LoadedConfig,
    database::Before,
    entity::access_token::Model,
};

/// Ends a token, or all that were made before a moment. All servers refuse them within two seconds. What they have
/// begun is still finished.
///
/// In a restored backup, tokens are good again that were revoked after it was made: see --all-made-before.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin tokens revoke billing
  oubliette-admin tokens revoke --all-made-before 2026-11-24T05:00:00Z   # after a restore")]
pub struct Revoke {
    /// The token's name or id, as `tokens list` shows it
    #[arg(required_unless_present = "all_made_before", conflicts_with = "all_made_before")]
    token: Option<String>,
    /// All tokens made before this moment of the database's clock, such as 2026-11-24T05:00:00Z
    #[arg(long, value_name = "TIME")]
    all_made_before: Option<DateTime<Utc>>,
    /// With --all-made-before: do not ask
    #[arg(long, short, requires = "all_made_before")]
    yes: bool,
    /// One JSON object; with --all-made-before, one JSON list
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

impl Revoke {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let db = connect(loaded).await?;
        let origin = self.actor.origin();
        let Some(moment) = self.all_made_before else {
            let row = tokens::revoke(&db, &self.token.unwrap_or_default(), &origin).await?;
            db.close().await?;
            if self.json {
                return Ok(terminal::json(&object(&row))?.into());
            }
            let revoked_at = row.revoked_at.map(time).unwrap_or_default();
            return Ok(format!("token `{}` is revoked since {revoked_at}\n", row.name).into());
        };
        let before = Before::ask(&db, Some(moment)).await?;
        anyhow::ensure!(
            moment <= before.asked_at(),
            "--all-made-before is in the future: {}; the database's clock says {}",
            time(moment),
            time(before.asked_at())
        );
        let planned = revocation::made_before(&db, &before).await?;
        let count = counted(planned.len() as u64, "token");
        if !self.json {
            for row in &planned {
                say(&format!("{}  {}, made at {}", row.name, row.scopes, time(row.created_at)));
            }
            say(&format!("{count} made before {}", time(moment)));
        }
        if !planned.is_empty() && !confirm(&format!("Revoke {count}?"), self.yes)? {
            return Ok(Output { text: "nothing was done\n".to_owned(), status: 1 });
        }
        let revoked = revocation::revoke_made_before(&db, &before, &planned, &origin).await?;
        db.close().await?;
        if self.json {
            return Ok(terminal::json(&revoked.iter().map(object).collect())?.into());
        }
        Ok(format!("{} revoked\n", counted(revoked.len() as u64, "token")).into())
    }
}

fn object(row: &Model) -> serde_json::Value {
    json!({ "id": row.id.to_string(), "name": row.name, "revoked_at": row.revoked_at.map(time) })
}
