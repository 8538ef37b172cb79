use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::json;

use crate::{
    access::tokens,
    admin::{
        context::connect,
        terminal::{self, Align, Output, table, time},
    },
    config::LoadedConfig,
    entity::access_token::Model,
};

/// Lists the tokens: what they allow, when they end, when they were used last (to the minute). Tokens themselves
/// are not known to anybody.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  oubliette-admin tokens list --all")]
pub struct List {
    /// Those that have ended, too
    #[arg(long)]
    all: bool,
    /// One JSON list
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let db = connect(loaded).await?;
        let mut rows = tokens::list(&db).await?;
        db.close().await?;
        let now = Utc::now();
        rows.retain(|row| self.all || state(row, now) == "good");
        if self.json {
            let list = rows.iter().map(|row| {
                json!({
                    "id": row.id.to_string(), "name": row.name, "scopes": row.scopes, "state": state(row, now),
                    "self": row.subject_id.map(|id| id.to_string()),
                    "subjects_per_minute": row.subjects_per_minute, "created_by": row.created_by,
                    "created_at": time(row.created_at), "expires_at": row.expires_at.map(time),
                    "last_used_at": row.last_used_at.map(time), "revoked_at": row.revoked_at.map(time),
                })
            });
            return Ok(terminal::json(&list.collect())?.into());
        }
        let header = [
            ("NAME", Align::Left),
            ("SCOPES", Align::Left),
            ("FOR", Align::Left),
            ("ENDS", Align::Left),
            ("LAST USED", Align::Left),
            ("STATE", Align::Left),
        ];
        let or = |moment: Option<DateTime<Utc>>, none: &str| {
            moment.map_or_else(|| none.to_owned(), |moment| moment.format("%Y-%m-%dT%H:%MZ").to_string())
        };
        let cells = rows.iter().map(|row| {
            [
                row.name.clone(),
                row.scopes.clone(),
                row.subject_id.map_or_else(|| "everybody".to_owned(), |id| id.to_string()),
                or(row.expires_at, "never"),
                or(row.last_used_at, "never"),
                state(row, now).to_owned(),
            ]
        });
        Ok(table(header, cells.collect()).into())
    }
}

fn state(row: &Model, now: DateTime<Utc>) -> &'static str {
    if row.revoked_at.is_some() {
        "revoked"
    } else if row.expires_at.is_some_and(|end| end <= now) {
        "expired"
    } else {
        "good"
    }
}
