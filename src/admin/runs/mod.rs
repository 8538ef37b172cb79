//! What commands have in common that go through all data keys: their flags, their progress, what they cost, and what they say in the end.

pub(in crate::admin) mod costs;
pub(in crate::admin) mod watch;

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use chrono::{DateTime, Utc};
use clap::Args;
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};

use self::{
    costs::{Estimate, cost_of, help_of_the_price, help_of_the_rate},
    watch::SweepWatch,
};
use crate::{
    admin::{
        context::{self, Actor, AdminContext},
        terminal::{INTERRUPTED, Output, counted, grouped, tenths, time},
    },
    audit::{self, NewEvent},
    config::KeysConfig,
    database::Before,
    keys::sweep::{Report, RunOutcome, SweepOptions},
};

/// How a run goes through data keys.
#[derive(Args, Debug)]
pub(in crate::admin) struct RunArguments {
    /// Do not ask
    #[arg(long, short)]
    pub(in crate::admin) yes: bool,
    /// JSON lines: the plan, the progress each second, the result
    #[arg(long)]
    pub(in crate::admin) json: bool,
    /// Write every failure to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(in crate::admin) failures: Option<PathBuf>,
    /// Deal with this many data keys at most
    #[arg(long, value_name = "COUNT")]
    limit: Option<NonZeroU64>,
    /// Data keys that are read and stored together
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch_size: u32,
    /// Most calls to a key backend at the same time [default: keys.max_concurrent_calls]
    #[arg(long, value_name = "COUNT")]
    pub(in crate::admin) concurrency: Option<NonZeroUsize>,
    #[arg(long, value_name = "CALLS", help = help_of_the_rate())]
    max_rate: Option<u32>,
    /// How long a call is tried again that fails for a reason that may pass
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = humantime_serde::re::humantime::parse_duration)]
    patience: Duration,
    #[arg(long, value_name = "DOLLARS", help = help_of_the_price())]
    price_per_call: Option<f64>,
    #[command(flatten)]
    pub(in crate::admin) actor: Actor,
}

impl RunArguments {
    /// `backends` are those that the run calls. `config` is the context's, with the concurrency that was asked for.
    pub(in crate::admin) fn options<'a>(
        &self,
        config: &KeysConfig,
        backends: impl IntoIterator<Item = &'a str>,
    ) -> SweepOptions {
        let polite_rate = || {
            let costs = backends.into_iter().filter_map(|name| cost_of(config, name));
            costs.map(|cost| cost.polite_rate).min()
        };
        SweepOptions {
            batch_size: NonZeroU32::new(self.batch_size).unwrap_or(NonZeroU32::MIN),
            concurrency: config.max_concurrent_calls,
            max_rate: match self.max_rate {
                Some(rate) => NonZeroU32::new(rate),
                None => polite_rate(),
            },
            limit: self.limit,
            patience: self.patience,
        }
    }

    /// How many of `data_keys` the run deals with.
    pub(in crate::admin) fn limited(&self, data_keys: u64) -> u64 {
        self.limit.map_or(data_keys, |limit| data_keys.min(limit.get()))
    }

    /// What the run will take, for people.
    pub(in crate::admin) fn describe(&self, estimate: &Estimate, options: &SweepOptions) -> String {
        let mut text = counted(estimate.calls, "call");
        text.push_str(" to key backends");
        match options.max_rate {
            Some(rate) => {
                let time = Duration::from_secs(estimate.calls.div_ceil(u64::from(rate.get())));
                let time = humantime_serde::re::humantime::format_duration(time);
                text.push_str(&format!(", at most {} a second: at least {time}", grouped(rate.get().into())));
            }
            None => text.push_str(", as fast as they answer (--max-rate)"),
        }
        for (service, calls, price) in estimate.prices(self.price_per_call) {
            let price = if price < 0.01 { "less than $0.01".to_owned() } else { format!("${price:.2}") };
            text.push_str(&format!("\n{price} for {} to {service}", counted(calls, "call")));
        }
        text
    }

    /// In US dollars, of all services together.
    pub(in crate::admin) fn price(&self, estimate: &Estimate) -> f64 {
        // Not `sum`, which begins at -0.
        estimate.prices(self.price_per_call).fold(0.0, |sum, (_, _, price)| sum + price)
    }
}

/// Records the run in the audit trail, also if it failed.
pub(in crate::admin) async fn record_run(
    context: &AdminContext,
    event: NewEvent,
    ended: anyhow::Result<Report>,
) -> anyhow::Result<Report> {
    let event = match &ended {
        Ok(report) if status(report.outcome) == 0 => event.target(report.id),
        Ok(report) => event.target(report.id).outcome(audit::Outcome::Failed),
        Err(_) => event.outcome(audit::Outcome::Failed),
    };
    let left = context::record(&context.db, event).await;
    // What went wrong first is what is said.
    let report = ended?;
    left.map(|()| report)
}

fn status(outcome: RunOutcome) -> u8 {
    match outcome {
        RunOutcome::Completed | RunOutcome::Limited => 0,
        RunOutcome::Interrupted => INTERRUPTED,
        RunOutcome::Incomplete | RunOutcome::Stopped | RunOutcome::Failed => 1,
    }
}

/// What is said after a run. `go_on` is the command that does the rest.
pub(in crate::admin) fn outcome(
    what: &str,
    left: &str,
    go_on: &str,
    report: &Report,
    watch: &SweepWatch,
    json: bool,
) -> Output {
    let counts = watch.progress().counts();
    let status = status(report.outcome);
    let seconds = watch.elapsed().as_secs_f64();
    if json {
        let result = json!({
            "event": "result", "outcome": report.outcome.to_string(), "done": counts.done,
            "changed": counts.changed, "failed": counts.failed, "calls": counts.calls, "retries": counts.retries,
            "left": report.left, "seconds": tenths(seconds),
            "stops": report.stops.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "go_on": (status != 0 || report.left > 0).then_some(go_on),
        });
        return Output { text: format!("{result}\n"), status };
    }
    let mut text = format!("{what} {} in {seconds:.1} s", counted(counts.done, "data key"));
    if counts.changed > 0 {
        text.push_str(&format!("; {} forgotten or changed by others meanwhile", grouped(counts.changed)));
    }
    if counts.retries > 0 {
        text.push_str(&format!("; {} tried again", counted(counts.retries, "call")));
    }
    text.push('\n');
    for stop in &report.stops {
        text.push_str(&format!("stopped: {stop}\n"));
    }
    if counts.failed > 0 {
        text.push_str(&format!("{} FAILED, and are as they were:\n", counted(counts.failed, "data key")));
        text.push_str(&watch.failures().lines());
    }
    text.push_str(&format!("{} {left}\n", counted(report.left, "data key")));
    if report.left > 0 {
        text.push_str(&format!("to go on: {go_on}\n"));
    }
    Output { text, status }
}

/// Before the moment that `--before` gives, or now, by the database's clock.
///
/// # Errors
///
/// If it is still to come: what is replaced then would be made before it, too.
pub(in crate::admin) async fn made_before(
    db: &DatabaseConnection,
    given: Option<DateTime<Utc>>,
) -> anyhow::Result<Before> {
    let before = Before::ask(db, given).await?;
    anyhow::ensure!(
        before.moment() <= before.asked_at(),
        "--before is in the future: {}; the database's clock says {}",
        time(before.moment()),
        time(before.asked_at())
    );
    Ok(before)
}

/// An event of a run that is done, for `--json`.
pub(in crate::admin) fn event(name: &str, mut fields: Value) -> Value {
    fields["event"] = name.into();
    fields
}
