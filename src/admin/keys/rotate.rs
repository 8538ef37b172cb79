use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::Args;
use oubliette_ledger::Rotation;
use serde_json::json;
use uuid::Uuid;

use crate::{
    admin::{
        context::AdminContext,
        runs::{
            RunArguments,
            costs::{Estimate, cost_of},
            event, made_before, outcome, record_run, watch,
        },
        terminal::{Output, confirm, counted, emit, grouped, say, time},
    },
    audit::{Action, NewEvent},
    config::LoadedConfig,
    database::Before,
    envelope::SubjectId,
    keys::sweep::{Report, RunOutcome},
    ledger,
};

/// Gives subjects fresh data keys, and seals their attributes anew: the answer to a data key that leaked.
///
/// Each subject is one transaction: fresh key, sealed attributes, old key destroyed. Servers serve on, and
/// nobody's `updated_at` changes. May be ended and begun again at any moment: see --before. What an attacker has
/// copied already stays open to the old key; nothing can change that.
///
/// Exit status: 0 if nothing is left, 1 if something failed or is left, 130 if it was interrupted.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin keys rotate --subject 019abcde-0000-7000-8000-000000000001
  oubliette-admin keys rotate --all --max-rate 500
  oubliette-admin keys rotate --all --before 2026-11-24T05:00:00Z --yes   # go on with what was interrupted")]
pub struct RotateCommand {
    /// This subject (a user's id); may be given several times
    #[arg(long = "subject", value_name = "ID", required_unless_present = "all")]
    subjects: Vec<Uuid>,
    /// Everybody
    #[arg(long, conflicts_with = "subjects")]
    all: bool,
    /// Only data keys made before this moment of the database's clock, such as 2026-11-24T05:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    before: Option<DateTime<Utc>>,
    /// Only count them
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    run: RunArguments,
}

impl RotateCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open_for(loaded, self.run.concurrency).await?;
        let done = self.rotate(&context).await;
        context.close().await?;
        done
    }

    async fn rotate(&self, context: &AdminContext) -> anyhow::Result<Output> {
        let before = made_before(&context.db, self.before).await?;
        let subjects: Vec<_> = self.subjects.iter().copied().map(SubjectId::from).collect();
        let backends: Vec<_> = context.backends.iter().map(|backend| backend.name().to_owned()).collect();
        let options = self.run.options(&context.config, backends.iter().map(|name| &**name));
        let origin = self.run.actor.origin();
        let rotate = context.users().rotate((!self.all).then_some(subjects), before, origin.clone());
        let (planned, ahead) = (rotate.count().await?, rotate.count_ahead().await?);
        if planned == 0 && !self.all && self.before.is_none() {
            anyhow::bail!("no data key of these subjects is in the database: were they forgotten?");
        }
        let calls = planned * 2;
        let mut estimate = Estimate::of(calls);
        // Nobody knows which of them opens how many: the dearest may open all.
        let costs = backends.iter().filter_map(|name| cost_of(&context.config, name));
        if let Some(cost) = costs.max_by(|one, other| one.dollars_per_call.total_cmp(&other.dollars_per_call))
        {
            estimate.pay(cost, calls);
        }
        if self.run.json {
            emit(&event(
                "plan",
                json!({
                    "data_keys": planned, "ahead": ahead, "before": time(before.moment()), "calls": calls, "max_rate": options.max_rate,
                    "price": self.run.price(&estimate), "limit": options.limit,
                }),
            ));
        } else {
            say(&format!("{} made before {}", counted(planned, "data key"), time(before.moment())));
            if ahead > 0 {
                say(&format!(
                    "{} of them were made by a server whose clock was ahead, nobody knows when; they are replaced, too",
                    grouped(ahead)
                ));
            }
            say(
                "each is replaced by a fresh one, and its subject's attributes are sealed anew, in this process",
            );
            say(&self.run.describe(&estimate, &options));
        }
        let output = if self.dry_run {
            if self.run.json { String::new() } else { "this was a dry run: nothing was done\n".to_owned() }
                .into()
        } else if planned == 0 || confirm("Replace them?", self.run.yes)? {
            let (watch, controls) =
                watch::watch(self.run.limited(planned), self.run.json, self.run.failures.as_deref())?;
            let run = rotate.run(&options, &controls);
            let ended = watch.during(run).await.and_then(|report| Ok(report?));
            let report = record_run(context, NewEvent::new(&origin, Action::KeyRotate), ended).await?;
            self.record(context, &before, planned, &report).await?;
            let left = format!("left that were made before {}", time(before.moment()));
            outcome("replaced", &left, &self.go_on(before.moment()), &report, &watch, self.run.json)
        } else {
            Output { text: "nothing was done\n".to_owned(), status: 1 }
        };
        Ok(output)
    }

    /// Has the erasure ledger tell of it, so that a restored backup does not undo it unnoticed.
    async fn record(
        &self,
        context: &AdminContext,
        before: &Before,
        planned: u64,
        report: &Report,
    ) -> anyhow::Result<()> {
        // One that ended early is gone on with: it is on record when it is over, if only by the command that finds nothing left.
        let is_over = match report.outcome {
            RunOutcome::Completed => planned > 0 || self.before.is_some(),
            RunOutcome::Incomplete => report.left < planned,
            _ => false,
        };
        if !is_over {
            return Ok(());
        }
        let subjects = (!self.all).then(|| self.subjects.clone());
        let rotation = Rotation { made_before: before.moment(), subjects };
        let recorded = ledger::record_rotation(&context.db, &rotation, &self.run.actor.origin()).await;
        recorded.with_context(|| {
            format!(
                "the data keys are replaced, and the erasure ledger does not tell of it: a restored backup would undo it unnoticed. Repeat `{}`",
                self.go_on(before.moment())
            )
        })
    }

    /// The command that does the rest.
    fn go_on(&self, before: DateTime<Utc>) -> String {
        let which = if self.all {
            " --all".to_owned()
        } else {
            self.subjects.iter().map(|subject| format!(" --subject {subject}")).collect()
        };
        format!("oubliette-admin keys rotate{which} --before {}", time(before))
    }
}
