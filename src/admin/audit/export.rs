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
    audit::{self, Event, EventPageRequest, Filter},
    config::LoadedConfig,
};

/// Events that are read together.
const PAGE: u64 = 1000;

/// Prints the events, the oldest first: time, outcome, action, actor, subjects, attributes, target, request id, and how
/// often it happened, with tabs between them and `-` for what is absent.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin audit export --since 2026-11-01T00:00:00Z --json > november.jsonl
  oubliette-admin audit export --subject 019abcde-0000-7000-8000-000000000001   # who looked at this person?
  oubliette-admin audit export --actor token:billing | tail")]
pub struct Export {
    #[command(flatten)]
    period: Period,
    /// Only what concerns this subject (a user's id), alone or among others
    #[arg(long, value_name = "ID")]
    subject: Option<Uuid>,
    /// Only what this actor did
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// JSON lines: one object an event, with its digests
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
            let page = audit::page(db, &filter, EventPageRequest { size: PAGE, after, before: None }).await?;
            let lines = page.events.iter().map(|event| if self.json { object(event) } else { line(event) });
            let next = page.events.last().filter(|_| page.has_next).map(|event| event.sequence);
            Ok(Lines { lines: lines.collect(), next })
        })
        .await
    }
}

fn object(event: &Event) -> String {
    json!({
        "sequence": event.sequence, "occurred_at": time(event.occurred_at), "actor": event.actor, "action": event.action,
        "subject_id": event.subject().map(|subject| subject.to_string()), "subject_ids": subjects(event),
        "count": event.count, "attributes": event.attributes, "target": event.target, "request_id": event.request_id, "outcome": event.outcome,
        "version": event.version, "previous_digest": hex::encode(&event.previous_digest),
        "digest": hex::encode(&event.digest),
    })
    .to_string()
}

fn line(event: &Event) -> String {
    let subjects = subjects(event).join(",");
    let count = event.count.to_string();
    let attributes = event.attributes.join(",");
    let [target, request_id] =
        [&event.target, &event.request_id].map(|text| text.as_deref().unwrap_or_default());
    fields([
        &time(event.occurred_at),
        &event.outcome,
        &event.action,
        &event.actor,
        &subjects,
        &attributes,
        target,
        request_id,
        &count,
    ])
}

fn subjects(event: &Event) -> Vec<String> {
    event.subjects.iter().map(ToString::to_string).collect()
}
