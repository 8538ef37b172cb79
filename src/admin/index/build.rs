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
    attributes::Second,
    audit::Origin,
    config::LoadedConfig,
    search::{Build, Index, Planned},
    users::{IndexBuild, Users},
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
        let data_keys = users.index_build(&planned.build).count().await?;
        self.print_plan(context, &planned, data_keys);
        if self.dry_run {
            let text = if self.run.json { "" } else { "this was a dry run: nothing was done\n" };
            return Ok(text.to_owned().into());
        }
        let is_nothing = planned.build.is_empty() && planned.given_up.is_empty();
        if !is_nothing && !confirm("Build?", self.run.yes)? {
            return Ok(Output { text: "nothing was done\n".to_owned(), status: 1 });
        }
        if planned.build.is_empty() {
            users.search().begin(&self.run.actor.origin(), self.build).await?;
            let output = retire(&users, &self.run.actor.origin()).await?;
            return Ok(if self.run.json {
                event("result", json!({ "outcome": "completed", "left": 0 })).to_string() + "\n"
            } else {
                output
            }
            .into());
        }
        self.build_all(context, &users, data_keys).await
    }

    async fn build_all(
        &self,
        context: &AdminContext,
        users: &Users,
        data_keys: u64,
    ) -> anyhow::Result<Output> {
        let origin = self.run.actor.origin();
        let indexes = users.search().begin(&origin, self.build).await?;
        let build = users.index_build(&indexes);
        let planned = self.run.limited(data_keys);
        let (watch, controls) = watch::watch(planned, self.run.json, self.run.failures.as_deref())?;
        let names: Vec<_> = context.backends.iter().map(|backend| backend.name().to_owned()).collect();
        let options = self.run.options(&context.config, names.iter().map(|name| &**name));
        let run = build.run(origin.actor(), data_keys, &options, &controls);
        let report = watch.during(run).await.and_then(|report| Ok(report?))?;
        let go_on = "oubliette-admin index build";
        let mut output = outcome("gave tags to the values of", "left", go_on, &report, &watch, self.run.json);
        let run = Run { indexes: &indexes, build: &build, is_whole: report.left == 0 };
        let ended = self.end(users, &origin, run, &mut output.text).await?;
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
        run: Run<'_>,
        text: &mut String,
    ) -> anyhow::Result<u8> {
        let Run { indexes, build, is_whole } = run;
        let is_now =
            async |index: &Index| match users.index_build(std::slice::from_ref(index)).count().await? {
                0 => anyhow::Ok(true),
                _ => Ok(self.skip_unreadable && build.lacks_unreadable_only(index).await?),
            };
        let mut ends = Vec::with_capacity(indexes.len());
        for index in indexes {
            let this = std::slice::from_ref(index);
            let ended = if !users.search().stands(index).await? {
                Ended::Replaced
            } else if is_whole || is_now(index).await? {
                users.search().finish(origin, this).await?;
                Ended::Ready
            } else if index.is_unique && build.is_taken(index) {
                users.search().give_up(origin, this).await?;
                Ended::GivenUp
            } else {
                Ended::NotReady
            };
            ends.push((index, ended));
        }
        // A failover may have lost the last tags in between.
        if users.index_build(indexes).count().await? > 0 {
            for (index, ended) in ends.iter_mut().filter(|(_, ended)| matches!(ended, Ended::Ready)) {
                if !is_now(index).await? {
                    users.search().reopen(origin, index).await?;
                    *ended = Ended::NotReady;
                }
            }
        }
        for (index, ended) in &ends {
            if self.run.json {
                let ended =
                    json!({ "attribute": index.attribute, "epoch": index.epoch, "state": ended.word() });
                text.insert_str(0, &format!("{}\n", event("index", ended)));
            } else {
                text.push_str(&ended.said(&index.attribute));
            }
        }
        let retired = retire(users, origin).await?;
        if !self.run.json {
            text.push_str(&retired);
        }
        Ok(u8::from(ends.iter().any(|(_, ended)| !matches!(ended, Ended::Ready))))
    }

    fn print_plan(&self, context: &AdminContext, planned: &Planned, data_keys: u64) {
        if self.run.json {
            let object = |index: &Index| json!({ "attribute": index.attribute, "epoch": index.epoch, "rules": index.rules, "unique": index.is_unique });
            let [indexes, given_up] =
                [&planned.build, &planned.given_up].map(|all| all.iter().map(object).collect::<Vec<_>>());
            let plan = json!({
                "indexes": indexes, "given_up": given_up, "data_keys": data_keys, "limit": self.run.limited(data_keys),
            });
            return emit(&event("plan", plan));
        }
        for index in &planned.given_up {
            say(&format!(
                "{}: epoch {} is given up, and people are not found by it any more",
                index.attribute, index.epoch
            ));
        }
        if planned.build.is_empty() {
            return say("every index that this configuration needs is there");
        }
        for index in &planned.build {
            let unique = if index.is_unique { ", one owner for each value" } else { "" };
            say(&format!("{}: epoch {}, by the rules {}{unique}", index.attribute, index.epoch, index.rules));
        }
        let searched = context.users().search().attributes().to_vec();
        let has_second = |index: &&Index| {
            searched.iter().any(|one| one.name == index.attribute && one.settings.second == Second::Backend)
        };
        let macs = data_keys.saturating_mul(planned.build.iter().filter(has_second).count() as u64);
        let mut estimate = Estimate::of(data_keys.saturating_add(macs));
        if let Some(cost) =
            context.backends.mac().and_then(|backend| cost_of(&context.config, backend.name()))
        {
            estimate.pay(cost, macs);
        }
        let costs = context.backends.iter().filter_map(|backend| cost_of(&context.config, backend.name()));
        if let Some(cost) = costs.max_by(|one, other| one.dollars_per_call.total_cmp(&other.dollars_per_call))
        {
            estimate.pay(cost, data_keys);
        }
        let price = self.run.price(&estimate);
        let price = if price > 0.0 {
            format!(", about ${price:.2} for calls to key backends")
        } else {
            String::new()
        };
        say(&format!("{} to go through{price}", counted(data_keys, "data key")));
    }
}

/// What a run built.
struct Run<'a> {
    indexes: &'a [Index],
    build: &'a IndexBuild,
    /// Nothing was left when it ended.
    is_whole: bool,
}

/// What became of an index.
#[derive(Clone, Copy, Debug)]
enum Ended {
    Ready,
    GivenUp,
    NotReady,
    /// By somebody else.
    Replaced,
}

impl Ended {
    fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::GivenUp => "given_up",
            Self::NotReady => "building",
            Self::Replaced => "replaced",
        }
    }

    fn said(self, name: &str) -> String {
        match self {
            Self::Ready => format!("people are found by {name}\n"),
            Self::GivenUp => format!(
                "{name}: GIVEN UP, since people share a value that one alone may have. They are listed above: change them, or set unique = false\n"
            ),
            Self::NotReady => format!("nobody is found by this index of {name} yet\n"),
            Self::Replaced => {
                format!(
                    "{name}: somebody else has replaced this index, or given it up: `oubliette-admin index status`\n"
                )
            }
        }
    }
}
