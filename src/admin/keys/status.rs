use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use sea_orm::Condition;
use serde_json::{Value, json};

use crate::{
    admin::{
        office::Office,
        terminal::{self, Align, Output, bar, grouped, table},
    },
    config::LoadedConfig,
    entity::key_operation,
    keys::{KekId, store, sweep},
};

/// Counts the data keys under each wrapping key, says which backend opens them, and shows the last runs of
/// `rewrap` and `rotate`. Asks the database only.
#[derive(Args, Debug)]
pub struct Status {
    /// How many runs to show
    #[arg(long, value_name = "COUNT", default_value = "10")]
    runs: u64,
    /// One JSON object instead of tables
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let office = Office::open(loaded).await?;
        let keks = store::count_by_kek(&office.db, Condition::all()).await?;
        let runs = sweep::recent(&office.db, self.runs).await?;
        let keks: Vec<_> = keks
            .into_iter()
            .map(|kek| {
                let owner = office.backends.owner(&KekId::new(&*kek.kek_id));
                (kek.kek_id, owner.map(|backend| backend.name().to_owned()), kek.data_keys.cast_unsigned())
            })
            .collect();
        office.close().await?;
        let total = keks.iter().map(|(_, _, data_keys)| data_keys).sum();
        if self.json {
            let keks: Vec<_> = keks
                .iter()
                .map(|(kek_id, owner, data_keys)| {
                    json!({ "kek_id": kek_id, "backend": owner, "data_keys": data_keys })
                })
                .collect();
            let runs: Vec<_> = runs.iter().map(run_object).collect();
            let status = json!({ "data_keys": total, "wrapping_keys": keks, "runs": runs });
            return Ok(terminal::json(&status)?.into());
        }
        let mut rows: Vec<_> = keks
            .into_iter()
            .map(|(kek_id, owner, data_keys)| {
                let owner = owner.unwrap_or_else(|| "none configured".to_owned());
                [kek_id, owner, grouped(data_keys), bar(data_keys, total)]
            })
            .collect();
        rows.push(["total".to_owned(), String::new(), grouped(total), String::new()]);
        let header = [
            ("WRAPPING KEY", Align::Left),
            ("BACKEND", Align::Left),
            ("DATA KEYS", Align::Right),
            ("", Align::Left),
        ];
        let mut text = table(header, rows);
        if !runs.is_empty() {
            text.push('\n');
            text.push_str(&runs_table(runs));
        }
        Ok(text.into())
    }
}

fn runs_table(runs: Vec<key_operation::Model>) -> String {
    let rows = runs.into_iter().map(|run| {
        let outcome = outcome(&run);
        let counts = format!("{} of {}", grouped(count(run.done)), grouped(count(run.planned)));
        [
            time(run.started_at),
            run.kind,
            run.actor,
            run.from_kek.unwrap_or_default(),
            run.to_kek.unwrap_or_default(),
            counts,
            grouped(count(run.failed)),
            outcome,
        ]
    });
    let header = [
        ("STARTED", Align::Left),
        ("RUN", Align::Left),
        ("BY", Align::Left),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("DONE", Align::Right),
        ("FAILED", Align::Right),
        ("OUTCOME", Align::Left),
    ];
    table(header, rows.collect())
}

fn run_object(run: &key_operation::Model) -> Value {
    json!({
        "id": run.id.to_string(), "kind": run.kind, "actor": run.actor, "from": run.from_kek, "to": run.to_kek,
        "started_at": time(run.started_at), "ended_at": run.ended_at.map(time), "planned": run.planned,
        "done": run.done, "changed": run.changed, "failed": run.failed, "outcome": outcome(run),
    })
}

/// A run that has not said how it ended either still runs, or died.
fn outcome(run: &key_operation::Model) -> String {
    let unfinished = || if sweep::is_alive(run, Utc::now()) { "running" } else { "died" }.to_owned();
    run.outcome.clone().unwrap_or_else(unfinished)
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn count(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}
