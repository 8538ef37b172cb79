use clap::Args;
use oubliette_ledger::{Form, Rotation};
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
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
/// an empty one. Where an access token was revoked, `token` and its id in the place of the subject. Where
/// data keys were replaced by fresh ones, `rotation`, and then a time and whose: those that had been made before.
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
    let place = json!({
        "sequence": entry.sequence, "actor": entry.actor,
        "previous_digest": hex::encode(&entry.previous_digest), "digest": hex::encode(&entry.digest),
    });
    let at = time(entry.erased_at);
    let keys: Vec<_> = entry.destroyed_keys.split("; ").filter(|key| !key.is_empty()).collect();
    let about = match entry.target_id {
        Some(id) if is_rotation(entry) => {
            let rotation = entry.destroyed_keys.parse::<Rotation>().ok();
            json!({
                "rotated_at": at, "rotation_id": id.to_string(),
                "made_before": rotation.as_ref().map(|rotation| time(rotation.made_before)),
                "subjects": rotation.and_then(|rotation| rotation.subjects),
            })
        }
        Some(token) => json!({ "revoked_at": at, "token_id": token.to_string() }),
        None => json!({ "erased_at": at, "subject_id": subject(entry), "destroyed_keys": keys }),
    };
    let fields = [place, about].into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    Value::Object(fields.flatten().collect()).to_string()
}

fn line(entry: &Model) -> String {
    let at = time(entry.erased_at);
    match entry.target_id {
        Some(_) if is_rotation(entry) => fields([&at, &entry.actor, "rotation", &entry.destroyed_keys]),
        Some(token) => fields([&at, &entry.actor, &format!("token {token}"), ""]),
        None => fields([&at, &entry.actor, &subject(entry), &entry.destroyed_keys]),
    }
}

fn is_rotation(entry: &Model) -> bool {
    entry.form == Form::Rotation1.as_str()
}

fn subject(entry: &Model) -> String {
    entry.subject_id.map(|subject| subject.to_string()).unwrap_or_default()
}
