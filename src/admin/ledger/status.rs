use std::fmt::Write;

use clap::Args;
use serde_json::{Value, json};

use super::{line, object};
use crate::{
    admin::{
        context::connect,
        terminal::{self, Output, time},
    },
    config::LoadedConfig,
    ledger::{self, EntryVersion, UndoneRotation, rollbacks},
    sinks::{self, InspectedSink, SinkState},
};

/// Shows where the erasure ledger ends, in the database and in each sink; and the rollbacks that wait for `ledger adopt`. Changes nothing in the database.
///
/// Also the rotations of data keys that a restored backup has undone.
///
/// Exit status: 0 if nothing waits, nothing is undone and each sink is good, else 1.
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
        let version = ledger::version(&db).await?.number();
        let undone = ledger::undone_rotations(&db).await?;
        let waiting = rollbacks::waiting_or(&db, &[]).await?;
        let sinks = sinks::inspect(&loaded.config.ledger, &db).await?.sinks;
        db.close().await?;
        let is_well =
            waiting.is_empty() && undone.is_empty() && sinks.iter().all(|sink| sink.state == SinkState::Good);
        let digest = hex::encode(end.digest);
        let text = if self.json {
            terminal::json(&json!({
                "sequence": end.sequence, "digest": digest, "entry_version": version,
                "waiting": waiting.iter().map(object).collect::<Vec<_>>(),
                "undone_rotations": undone.iter().map(rotation_object).collect::<Vec<_>>(),
                "sinks": sinks.iter().map(sink_object).collect::<Vec<_>>(),
            }))?
        } else {
            let mut text = format!("sequence   {}\ndigest     {digest}\n", end.sequence);
            if version < EntryVersion::NEWEST.number() {
                let _ = writeln!(
                    text,
                    "version    {version}: `oubliette-admin ledger upgrade`, once all servers run this release"
                );
            }
            for sink in &sinks {
                text.push_str(&sink_line(sink, end.sequence));
                text.push('\n');
            }
            for undone in &undone {
                text.push_str(&undone_line(undone));
                text.push('\n');
            }
            for rollback in &waiting {
                text.push_str(&line(rollback));
                text.push('\n');
            }
            text
        };
        Ok(if is_well { text.into() } else { Output::unwell(text) })
    }
}

pub(super) fn sink_line(sink: &InspectedSink, end: i64) -> String {
    let place = sink.head.as_ref().map(|head| {
        let unpublished = end - head.sequence;
        let rest = if unpublished > 0 { format!(", {unpublished} not published yet") } else { String::new() };
        format!(", ends at {head}{rest}")
    });
    let problem = sink.problem.as_ref().map(|problem| format!(": {problem}"));
    let state = <&str>::from(sink.state);
    format!("sink       {}: {state}{}{}", sink.name, place.unwrap_or_default(), problem.unwrap_or_default())
}

pub(super) fn undone_line(undone: &UndoneRotation) -> String {
    format!("rotation   undone: {undone}")
}

fn rotation_object(undone: &UndoneRotation) -> Value {
    json!({
        "made_before": time(undone.rotation.made_before), "subjects": undone.rotation.subjects,
        "data_keys": undone.data_keys,
    })
}

fn sink_object(sink: &InspectedSink) -> Value {
    let head = sink.head.as_ref();
    json!({
        "name": sink.name, "state": <&str>::from(sink.state),
        "sequence": head.map(|head| head.sequence), "digest": head.map(|head| hex::encode(&head.digest)),
        "problem": sink.problem,
    })
}
