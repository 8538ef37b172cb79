use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use clap::Args;
use serde_json::json;

use super::retire::retire;
use crate::{
    admin::{
        context::AdminContext,
        runs::{
            RunArguments,
            costs::{Estimate, cost_of},
            event, outcome, watch,
        },
        terminal::{INTERRUPTED, Output, confirm, counted, emit, say},
    },
    audit::Origin,
    config::LoadedConfig,
    keys::sweep::Failure,
    search::{Build, Index},
    users::Users,
};

/// Builds the indexes that this configuration needs and the database lacks: each value from before gets its tag.
///
/// From the moment that it begins, servers add the tags of what they write. People are found when all is done, and until then, as before, by the
/// indexes that were there. May be ended and begun again at any moment, and on PostgreSQL run in several processes that share the work.
///
/// Where one person alone may have a value (`unique = true`), those who share one are listed, and the index is given up.
///
/// Exit status: 0 if people are found, 1 if something failed or is left, 130 if it was interrupted.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin index build --dry-run
  oubliette-admin index build --yes")]
pub struct BuildCommand {
    /// Only say what would be built
    #[arg(long)]
    dry_run: bool,
    /// Let people be found although some values do not open, and those whose they are are not found by them
    #[arg(long)]
    skip_unreadable: bool,
    #[command(flatten)]
    run: RunArguments,
}

/// Begins a new epoch: each value gets a tag under a new index key, in pages. Then the old tags go, and the old index key with them: whoever
/// has a backup of both can try values until then, and not after.
///
/// Servers serve on, and what one person alone may have stays so at every moment. May be ended and begun again: `index build` goes on with it.
///
/// Exit status: 0 if people are found by the new epoch, 1 if something failed or is left, 130 if it was interrupted.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  oubliette-admin index rotate --yes")]
pub struct RotateCommand {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Let people be found although some values do not open, and those whose they are are not found by them
    #[arg(long)]
    skip_unreadable: bool,
    /// Give the old epoch up at once, since its index key cannot be opened any more. Nobody is found until the new one is built
    #[arg(long)]
    drop_old: bool,
    #[command(flatten)]
    run: RunArguments,
}

impl BuildCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let Self { dry_run, skip_unreadable, run } = self;
        Builder { build: Build::Missing, dry_run, skip_unreadable, run }.run(loaded).await
    }
}

impl RotateCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let Self { dry_run, skip_unreadable, drop_old, run } = self;
        let build = if drop_old { Build::Anew } else { Build::NewEpoch };
        Builder { build, dry_run, skip_unreadable, run }.run(loaded).await
    }
}

struct Builder {
    build: Build,
    dry_run: bool,
    skip_unreadable: bool,
    run: RunArguments,
}

impl Builder {
    async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open_for(loaded, self.run.concurrency).await?;
        context.require_trusted_ledger().await?;
        let done = self.build(&context).await;
        context.close().await?;
        done
    }

    async fn build(&self, context: &AdminContext) -> anyhow::Result<Output> {
        let users = context.users();
        let planned = users.search().planned(self.build).await?;
        let data_keys = users.index_build(&planned).count().await?;
        self.print_plan(context, &planned, data_keys);
        if self.dry_run {
            let text = if self.run.json { "" } else { "this was a dry run: nothing was done\n" };
            return Ok(text.to_owned().into());
        }
        if planned.is_empty() {
            let output = retire(&users, &self.run.actor.origin()).await?;
            return Ok(if self.run.json {
                event("result", json!({ "outcome": "completed", "left": 0 })).to_string() + "\n"
            } else {
                output
            }
            .into());
        }
        if !confirm("Build?", self.run.yes)? {
            return Ok(Output { text: "nothing was done\n".to_owned(), status: 1 });
        }
        self.build_all(context, &users).await
    }

    async fn build_all(&self, context: &AdminContext, users: &Users) -> anyhow::Result<Output> {
        let origin = self.run.actor.origin();
        let indexes = users.search().begin(&origin, self.build).await?;
        let build = users.index_build(&indexes);
        let planned = self.run.limited(build.count().await?);
        let (watch, mut controls) = watch::watch(planned, self.run.json, self.run.failures.as_deref())?;
        let failed = Arc::new(Failed::default());
        controls.on_failure = failed.clone().before(controls.on_failure);
        let names: Vec<_> = context.backends.iter().map(|backend| backend.name().to_owned()).collect();
        let options = self.run.options(&context.config, names.iter().map(|name| &**name));
        let run = build.run(origin.actor(), &options, &controls);
        let report = watch.during(run).await.and_then(|report| Ok(report?))?;
        let go_on = "oubliette-admin index build";
        let mut output = outcome("gave tags to the values of", "left", go_on, &report, &watch, self.run.json);
        let ended = self.end(users, &origin, &indexes, &failed, &mut output.text).await?;
        if output.status != INTERRUPTED {
            output.status = ended;
        }
        Ok(output)
    }

    /// Lets people be found by what is whole, gives up what cannot be, and says so. Gives the exit status.
    async fn end(
        &self,
        users: &Users,
        origin: &Origin,
        indexes: &[Index],
        failed: &Failed,
        text: &mut String,
    ) -> anyhow::Result<u8> {
        let (taken, unreadable) = (failed.taken.load(Relaxed), failed.unreadable.load(Relaxed));
        let mut status = 0;
        for index in indexes {
            let (name, this) = (&index.attribute, std::slice::from_ref(index));
            let left = users.index_build(this).count().await?;
            let said = if index.is_unique && taken > 0 && left > 0 {
                users.search().give_up(origin, this).await?;
                status = 1;
                format!(
                    "{name}: GIVEN UP, since people share a value that one alone may have. They are listed above: change them, or set unique = false\n"
                )
            } else if left == 0 || self.skip_unreadable && left <= unreadable {
                users.search().finish(origin, this).await?;
                format!("people are found by {name}\n")
            } else {
                status = 1;
                format!("nobody is found by this index of {name} yet\n")
            };
            if !self.run.json {
                text.push_str(&said);
            }
        }
        retire(users, origin).await?;
        Ok(status)
    }

    fn print_plan(&self, context: &AdminContext, planned: &[Index], data_keys: u64) {
        if self.run.json {
            let indexes = planned.iter().map(|index| {
                json!({ "attribute": index.attribute, "epoch": index.epoch, "rules": index.rules, "unique": index.is_unique })
            });
            let plan = json!({ "indexes": indexes.collect::<Vec<_>>(), "data_keys": data_keys, "limit": self.run.limited(data_keys) });
            return emit(&event("plan", plan));
        }
        if planned.is_empty() {
            return say("every index that this configuration needs is there");
        }
        for index in planned {
            let unique = if index.is_unique { ", one owner for each value" } else { "" };
            say(&format!("{}: epoch {}, by the rules {}{unique}", index.attribute, index.epoch, index.rules));
        }
        let mut estimate = Estimate::of(data_keys);
        let costs = context.backends.iter().filter_map(|backend| cost_of(&context.config, backend.name()));
        if let Some(cost) = costs.max_by(|one, other| one.dollars_per_call.total_cmp(&other.dollars_per_call))
        {
            estimate.pay(cost, data_keys);
        }
        let price = self.run.price(&estimate);
        let price = if price > 0.0 { format!(", about ${price:.2} to open them") } else { String::new() };
        say(&format!("{} to go through{price}", counted(data_keys, "data key")));
    }
}

/// How many data keys failed, by why.
#[derive(Debug, Default)]
struct Failed {
    taken: AtomicU64,
    unreadable: AtomicU64,
}

type OnFailure = dyn Fn(&Failure) + Send + Sync;

impl Failed {
    /// Counts a failure, then tells it to who else wants to know.
    fn before(self: Arc<Self>, then: Arc<OnFailure>) -> Arc<OnFailure> {
        Arc::new(move |failure| {
            let count = if failure.class == "taken" { &self.taken } else { &self.unreadable };
            count.fetch_add(1, Relaxed);
            then(failure);
        })
    }
}
