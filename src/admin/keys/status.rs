use std::collections::HashMap;

use chrono::{DateTime, Utc};
use clap::Args;
use sea_orm::Condition;
use serde_json::{Value, json};

use crate::{
    admin::{
        context::AdminContext,
        terminal::{self, Align, Output, bar, grouped, second, table},
    },
    config::LoadedConfig,
    database::read_clock,
    entity::key_operation,
    keys::{KekId, KekState, index_keys, store, sweep, wrapping_keys},
};

/// Counts the data keys and index keys under each wrapping key, says which backend opens them, and whether more may come under it, and shows
/// the last runs of `rewrap` and `rotate`. Retired wrapping keys that nothing needs are left out. Asks the database only.
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
        let context = AdminContext::open(loaded).await?;
        let keks = store::count_by_kek(&context.db, Condition::all()).await?;
        let index_keys = index_keys::all(&context.db).await?;
        let runs = sweep::recent(&context.db, self.runs).await?;
        let now = read_clock(&context.db).await?;
        let states: HashMap<_, _> = wrapping_keys::all(&context.db).await?.into_iter().collect();
        let index_keys_under =
            |kek_id: &KekId| index_keys.iter().filter(|key| key.wrapped.kek_id == *kek_id).count() as u64;
        let unused = states.iter().filter(|(kek_id, state)| {
            let is_needed = **state != KekState::Retired || index_keys_under(kek_id) > 0;
            is_needed && !keks.iter().any(|kek| kek.kek_id == kek_id.as_str())
        });
        let mut unused: Vec<_> = unused.map(|(kek_id, _)| (kek_id.clone(), 0)).collect();
        unused.sort_unstable();
        let used = keks.into_iter().map(|kek| (KekId::new(kek.kek_id), kek.data_keys.cast_unsigned()));
        let keks: Vec<_> = used
            .chain(unused)
            .map(|(kek_id, data_keys)| Kek {
                backend: context.backends.owner(&kek_id).map(|backend| backend.name().to_owned()),
                state: states.get(&kek_id).copied(),
                index_keys: index_keys_under(&kek_id),
                id: kek_id,
                data_keys,
            })
            .collect();
        context.close().await?;
        let total = keks.iter().map(|kek| kek.data_keys).sum();
        if self.json {
            let keks: Vec<_> = keks
                .iter()
                .map(|kek| {
                    json!({
                        "kek_id": kek.id.as_str(), "backend": kek.backend, "data_keys": kek.data_keys,
                        "index_keys": kek.index_keys, "state": kek.state.map(KekState::as_str),
                    })
                })
                .collect();
            let runs: Vec<_> = runs.iter().map(|run| run_object(run, now)).collect();
            let all = json!({ "data_keys": total, "wrapping_keys": keks, "runs": runs });
            return Ok(terminal::json(&all)?.into());
        }
        let mut rows: Vec<_> = keks
            .into_iter()
            .map(|kek| {
                let backend = kek.backend.unwrap_or_else(|| "none configured".to_owned());
                let state = kek.state.map(|state| state.to_string()).unwrap_or_default();
                let (data_keys, index_keys) = (grouped(kek.data_keys), grouped(kek.index_keys));
                [kek.id.to_string(), backend, state, data_keys, index_keys, bar(kek.data_keys, total)]
            })
            .collect();
        let (total, index_keys) = (grouped(total), grouped(index_keys.len() as u64));
        rows.push(["total".to_owned(), String::new(), String::new(), total, index_keys, String::new()]);
        let header = [
            ("WRAPPING KEY", Align::Left),
            ("BACKEND", Align::Left),
            ("STATE", Align::Left),
            ("DATA KEYS", Align::Right),
            ("INDEX KEYS", Align::Right),
            ("", Align::Left),
        ];
        let mut text = table(header, rows);
        if !runs.is_empty() {
            text.push('\n');
            text.push_str(&runs_table(runs, now));
        }
        Ok(text.into())
    }
}

/// A wrapping key, for people and programs.
struct Kek {
    id: KekId,
    backend: Option<String>,
    state: Option<KekState>,
    data_keys: u64,
    index_keys: u64,
}

fn runs_table(runs: Vec<key_operation::Model>, now: DateTime<Utc>) -> String {
    let rows = runs.into_iter().map(|run| {
        let outcome = outcome(&run, now);
        let counts = format!("{} of {}", grouped(count(run.done)), grouped(count(run.planned)));
        [
            second(run.started_at),
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

fn run_object(run: &key_operation::Model, now: DateTime<Utc>) -> Value {
    json!({
        "id": run.id.to_string(), "kind": run.kind, "actor": run.actor, "from": run.from_kek, "to": run.to_kek,
        "started_at": second(run.started_at), "ended_at": run.ended_at.map(second), "planned": run.planned,
        "done": run.done, "changed": run.changed, "failed": run.failed, "outcome": outcome(run, now),
    })
}

/// A run that has not said how it ended either still runs, or died.
fn outcome(run: &key_operation::Model, now: DateTime<Utc>) -> String {
    let unfinished = || if sweep::is_alive(run, now) { "running" } else { "died" }.to_owned();
    run.outcome.clone().unwrap_or_else(unfinished)
}

fn count(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}
