use clap::Args;
use sea_orm::DatabaseConnection;
use serde_json::json;
use uuid::Uuid;

use crate::{
    admin::{
        context::connect,
        export::{Lines, Period, fields, print_pages},
        terminal::{Output, time},
    },
    config::LoadedConfig,
    entity::erasure::Model,
    ledger::{self, Filter},
};

/// Entries that are read together.
const PAGE: u64 = 1000;

/// Prints the entries, the oldest first: time, actor, subject, and the destroyed keys, with tabs between them and `-` for
/// an empty one.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin ledger export --json > ledger.jsonl
  oubliette-admin ledger export --since 2026-11-01T00:00:00Z   # who was forgotten since?
  oubliette-admin ledger export --subject 019abcde-0000-7000-8000-000000000001")]
pub struct Export {
    #[command(flatten)]
    period: Period,
    /// Only what concerns this subject (a user's id)
    #[arg(long, value_name = "ID")]
    subject: Option<Uuid>,
    /// Only what this actor did
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// JSON lines: one object an entry, with its digests
    #[arg(long)]
    json: bool,
}

impl Export {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let db = connect(loaded).await?;
        let printed = self.print(&db).await;
        db.close().await?;
        printed?;
        Ok(String::new().into())
    }

    async fn print(&self, db: &DatabaseConnection) -> anyhow::Result<()> {
        let filter = Filter {
            subject: self.subject.map(Into::into),
            actor: self.actor.clone(),
            since: self.period.since,
            until: self.period.until,
        };
        print_pages(async |after| {
            let entries = ledger::page(db, &filter, after, PAGE).await?;
            let lines = entries.iter().map(|entry| if self.json { object(entry) } else { line(entry) });
            let is_full = entries.len() as u64 == PAGE;
            let next = entries.last().filter(|_| is_full).map(|entry| entry.sequence);
            Ok(Lines { lines: lines.collect(), next })
        })
        .await
    }
}

fn object(entry: &Model) -> String {
    let keys: Vec<_> = entry.destroyed_keys.split("; ").filter(|key| !key.is_empty()).collect();
    json!({
        "sequence": entry.sequence, "erased_at": time(entry.erased_at), "actor": entry.actor,
        "subject_id": entry.subject_id.to_string(), "destroyed_keys": keys,
        "previous_digest": hex::encode(&entry.previous_digest), "digest": hex::encode(&entry.digest),
    })
    .to_string()
}

fn line(entry: &Model) -> String {
    fields([&time(entry.erased_at), &entry.actor, &entry.subject_id.to_string(), &entry.destroyed_keys])
}
