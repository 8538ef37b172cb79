use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    admin::{
        context::AdminContext,
        runs::{
            RunArguments,
            costs::{Estimate, cost_of, kind_of},
            event, made_before, outcome, record_run, watch,
        },
        terminal::{Align, Output, confirm, counted, emit, grouped, say, table, time},
    },
    audit::{Action, NewEvent},
    config::{KeysConfig, LoadedConfig},
    keys::{
        BackendKind, KekId,
        rewrap::{Plan, Rewrap, Route, Selection},
        sweep::{RunOutcome, SweepOptions},
    },
};

/// Moves data keys to another wrapping key, while servers serve.
///
/// Prints what it is about to do, asks, and ends with a count that proves that nothing is left. What fails is
/// left as it was. May be ended and begun again at any moment, and on PostgreSQL run in several processes
/// that share the work. Nobody's `updated_at` changes.
///
/// Exit status: 0 if nothing is left, 1 if something failed or is left, 130 if it was interrupted.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin keys rewrap --dry-run          # what would be done; are all permissions there?
  oubliette-admin keys rewrap                    # all data keys, to the active backend's current wrapping key
  oubliette-admin keys rewrap --from local:20261124-fa27d3 --to aws --yes
  oubliette-admin keys rewrap --all              # KMS has rotated the material behind the ARN
  oubliette-admin keys rewrap --max-rate 200 --failures failed.jsonl --json")]
pub struct RewrapCommand {
    /// Only data keys under this wrapping key: an id, as `keys status` shows it
    #[arg(long, value_name = "KEK")]
    from: Option<String>,
    /// The wrapping key to move to, or a backend's name for its current one [default: the active backend]
    #[arg(long, value_name = "KEK|BACKEND")]
    to: Option<String>,
    /// Also those that are under the target already: its material may have changed behind its id
    #[arg(long)]
    all: bool,
    /// With --all: only those wrapped before this moment of the database's clock, such as 2026-11-24T05:00:00Z [default: now]
    #[arg(long, value_name = "TIME", requires = "all")]
    before: Option<DateTime<Utc>>,
    /// Print the plan, really move a sample, and store nothing: finds missing permissions
    #[arg(long)]
    dry_run: bool,
    /// How many data keys of each wrapping key a dry run moves
    #[arg(long, value_name = "COUNT", default_value = "20")]
    sample: u64,
    /// Afterwards, open everything of this many random users. Needs the permission to unwrap
    #[arg(long, value_name = "COUNT")]
    open_sample: Option<u64>,
    #[command(flatten)]
    run: RunArguments,
}

impl RewrapCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open_for(loaded, self.run.concurrency).await?;
        let selection = Selection {
            from: self.from.clone().map(KekId::new),
            to: self.to.clone(),
            before: if self.all { Some(made_before(&context.db, self.before).await?) } else { None },
        };
        let rewrap = Rewrap::new(context.db.clone(), context.backends.clone());
        let plan = rewrap.plan(selection).await?;
        let called = plan.sources.iter().map(|source| &*source.backend).chain([&*plan.backend]);
        let options = self.run.options(&context.config, called);
        self.print_plan(&plan, &context.config, &options);
        let output = if self.dry_run {
            self.try_out(&rewrap, &plan, &options).await?
        } else if plan.sources.is_empty() || confirm("Move them?", self.run.yes)? {
            self.move_all(&context, &rewrap, &plan, &options).await?
        } else {
            Output { text: "nothing was done\n".to_owned(), status: 1 }
        };
        context.close().await?;
        Ok(output)
    }

    async fn try_out(&self, rewrap: &Rewrap, plan: &Plan, options: &SweepOptions) -> anyhow::Result<Output> {
        let (watch, controls) = watch::watch(self.sample, self.run.json, self.run.failures.as_deref())?;
        let tried = rewrap.try_out(plan, self.sample, options, &controls);
        let mut text = String::new();
        let mut well = true;
        for (source, dealt) in plan.sources.iter().zip(watch.during(tried).await??) {
            well &= dealt.failures.is_empty();
            dealt.failures.iter().for_each(|failure| (controls.on_failure)(failure));
            let failed = dealt.failures.len() as u64;
            if self.run.json {
                let tried =
                    json!({ "kek_id": source.kek_id.as_str(), "moved": dealt.done, "failed": failed });
                text.push_str(&format!("{}\n", event("tried", tried)));
            } else {
                text.push_str(&format!(
                    "tried {} of {}: {} moved and forgotten about, {} failed\n",
                    counted(dealt.done + failed, "data key"),
                    source.kek_id,
                    grouped(dealt.done),
                    grouped(failed)
                ));
            }
        }
        if !self.run.json {
            text.push_str(&watch.failures().lines());
            text.push_str("this was a dry run: nothing was stored\n");
        }
        Ok(if well { text.into() } else { Output::unwell(text) })
    }

    async fn move_all(
        &self,
        context: &AdminContext,
        rewrap: &Rewrap,
        plan: &Plan,
        options: &SweepOptions,
    ) -> anyhow::Result<Output> {
        let planned = self.run.limited(plan.data_keys());
        let (watch, controls) = watch::watch(planned, self.run.json, self.run.failures.as_deref())?;
        let origin = self.run.actor.origin();
        let run = rewrap.run(plan, &origin, options, &controls);
        let ended = watch.during(run).await.and_then(|report| Ok(report?));
        let report = record_run(context, NewEvent::new(&origin, Action::KeyRewrap), ended).await?;
        let left = match self.from {
            Some(_) => format!("left under {}", self.from.as_deref().unwrap_or_default()),
            None if self.all => format!("left that were wrapped before {}", moment_of(plan)),
            None => format!("left under other wrapping keys than {}", plan.to),
        };
        let mut output = outcome("moved", &left, &self.go_on(plan), &report, &watch, self.run.json);
        if let Some(size) = self.open_sample
            && report.outcome == RunOutcome::Completed
        {
            let opened = context.users().verify().sample(size).await?;
            let faults = opened.faults.len() as u64;
            if self.run.json {
                let sample = json!({
                    "users": opened.subjects, "data_keys": opened.data_keys, "attributes": opened.attributes,
                    "faults": faults,
                });
                output.text.push_str(&format!("{}\n", event("sample", sample)));
            } else {
                output.text.push_str(&format!(
                    "opened a random sample of {}: {} and {}, {} FAULTS\n",
                    counted(opened.subjects, "user"),
                    counted(opened.data_keys, "data key"),
                    counted(opened.attributes, "attribute"),
                    grouped(faults),
                ));
                for fault in &opened.faults {
                    output
                        .text
                        .push_str(&format!("  {} of user {}: {}\n", fault.place, fault.subject, fault.cause));
                }
            }
            if faults > 0 {
                output.status = 1;
            }
        }
        Ok(output)
    }

    /// The same command, without what was only for this time.
    fn go_on(&self, plan: &Plan) -> String {
        let mut command = "oubliette-admin keys rewrap".to_owned();
        if let Some(from) = &self.from {
            command.push_str(&format!(" --from {from}"));
        }
        if let Some(to) = &self.to {
            command.push_str(&format!(" --to {to}"));
        }
        if self.all {
            command.push_str(&format!(" --all --before {}", moment_of(plan)));
        }
        command
    }

    fn print_plan(&self, plan: &Plan, config: &KeysConfig, options: &SweepOptions) {
        let estimate = estimate(plan, config);
        if self.run.json {
            emit(&event("plan", self.plan_object(plan, &estimate, options)));
            return;
        }
        if plan.sources.is_empty() {
            say(&format!("nothing is to be moved to {} (backend `{}`)", plan.to, plan.backend));
            return;
        }
        say(&format!("to {} (backend `{}`):\n", plan.to, plan.backend));
        let rows = plan.sources.iter().map(|source| {
            [
                source.kek_id.to_string(),
                source.backend.clone(),
                grouped(source.data_keys),
                how(source.route, config, &source.backend).to_owned(),
            ]
        });
        let header = [
            ("FROM", Align::Left),
            ("BACKEND", Align::Left),
            ("DATA KEYS", Align::Right),
            ("HOW", Align::Left),
        ];
        say(&table(header, rows.collect()));
        if plan.index_keys() > 0 {
            say(&format!("and {}\n", counted(plan.index_keys(), "index key")));
        }
        say(&self.run.describe(&estimate, options));
        if let Some(limit) = options.limit {
            say(&format!("of these, {} at most", counted(limit.get(), "data key")));
        }
    }

    fn plan_object(&self, plan: &Plan, estimate: &Estimate, options: &SweepOptions) -> Value {
        let sources = plan.sources.iter().map(|source| {
            let leaves_the_backend = source.route == Route::UnwrapAndWrap;
            json!({
                "kek_id": source.kek_id.as_str(), "backend": source.backend, "data_keys": source.data_keys,
                "index_keys": source.index_keys, "in_memory": leaves_the_backend,
            })
        });
        json!({
            "to": plan.to.as_str(), "backend": plan.backend, "data_keys": plan.data_keys(),
            "index_keys": plan.index_keys(), "from": sources.collect::<Vec<_>>(), "calls": estimate.calls, "max_rate": options.max_rate,
            "price": self.run.price(estimate), "limit": options.limit,
        })
    }
}

fn estimate(plan: &Plan, config: &KeysConfig) -> Estimate {
    let calls = plan.sources.iter().map(|source| source.data_keys * source.route.calls());
    let mut estimate = Estimate::of(calls.sum());
    for source in &plan.sources {
        match source.route {
            Route::Rewrap => {
                if let Some(cost) = cost_of(config, &source.backend) {
                    estimate.pay(cost, source.data_keys * cost.calls_of_a_rewrap);
                }
            }
            Route::UnwrapAndWrap => {
                for cost in [&source.backend, &plan.backend].iter().filter_map(|name| cost_of(config, name)) {
                    estimate.pay(cost, source.data_keys);
                }
            }
        }
    }
    estimate
}

fn how(route: Route, config: &KeysConfig, backend: &str) -> &'static str {
    match route {
        Route::Rewrap => kind_of(config, backend).map_or("within one backend", BackendKind::how_it_rewraps),
        Route::UnwrapAndWrap => "in this process: unwrapped here, then wrapped by the other backend",
    }
}

fn moment_of(plan: &Plan) -> String {
    plan.before.map(|before| time(before.moment())).unwrap_or_default()
}
