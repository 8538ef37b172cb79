use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::{
    admin::{
        context::{Actor, AdminContext},
        terminal::{self, Output, confirm, counted},
    },
    audit::Origin,
    config::LoadedConfig,
    keys::{
        KekId, KekState, index_keys, store,
        wrapping_keys::{self, Transition},
    },
};

/// Lets nothing new come under a wrapping key, then counts what is under it. If that is nothing, the wrapping key is
/// retired, and can be destroyed as far as this database is concerned.
///
/// Holds for all servers at once, also for one that does not see that another wrapping key is current: it cannot create users
/// any more. Data keys under the wrapping key are opened as before.
///
/// Exit status: 0 if it is retired, 1 if data keys need it still.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin keys rewrap --from arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
  oubliette-admin keys retire arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
  oubliette-admin keys retire --undo local:20261124-fa27d3   # it may wrap again")]
pub struct Retire {
    /// The wrapping key's id, as `keys status` shows it
    kek: String,
    /// Let data keys come under it again
    #[arg(long)]
    undo: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

impl Retire {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open(loaded).await?;
        let kek_id = KekId::new(&*self.kek);
        let origin = self.actor.origin();
        let output = if self.undo {
            self.undo(&context, &kek_id, &origin).await?
        } else {
            require_known(&context, &kek_id).await?;
            require_not_current(&context, &kek_id).await?;
            let question = format!("Let nothing new come under {kek_id}, on no server of this database?");
            if confirm(&question, self.yes)? {
                self.said(&kek_id, retire(&context, &kek_id, &origin).await?)?
            } else {
                Output { text: "nothing was done\n".to_owned(), status: 1 }
            }
        };
        context.close().await?;
        Ok(output)
    }

    async fn undo(&self, context: &AdminContext, kek_id: &KekId, origin: &Origin) -> anyhow::Result<Output> {
        require_known(context, kek_id).await?;
        if context.backends.owner(kek_id).is_none() {
            anyhow::bail!(
                "no configured key backend has the wrapping key {kek_id}, so nothing can come under it"
            );
        }
        let changed = wrapping_keys::change(&context.db, kek_id, Transition::UndoRetirement, origin).await?;
        if self.json {
            let object = json!({ "kek_id": kek_id.as_str(), "state": KekState::Active.as_str() });
            return Ok(terminal::json(&object)?.into());
        }
        Ok(if changed {
            format!("data keys may come under {kek_id} again\n")
        } else {
            format!("{kek_id} is not being retired: nothing was done\n")
        }
        .into())
    }

    fn said(
        &self,
        kek_id: &KekId,
        Retirement { state, data_keys, index_keys }: Retirement,
    ) -> anyhow::Result<Output> {
        let is_needed = data_keys + index_keys > 0;
        let status = u8::from(is_needed);
        if self.json {
            let object = json!({ "kek_id": kek_id.as_str(), "state": state.as_str(), "data_keys": data_keys, "index_keys": index_keys });
            return Ok(Output { text: terminal::json(&object)?, status });
        }
        let text = if is_needed {
            format!("nothing new comes under {kek_id} any more\n{}\n", needed(kek_id, data_keys, index_keys))
        } else {
            format!(
                "{kek_id} is retired: no data key of this database is under it, and none can come under it\n\
                 backups made before the last rewrap need it still: keep it as long as you keep them\n"
            )
        };
        Ok(Output { text, status })
    }
}

/// How a retirement ended. Nothing new comes under the wrapping key, either way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retirement {
    /// After a restore, data keys may be under one that is retired already.
    state: KekState,
    /// How many data keys need it still.
    pub(super) data_keys: u64,
    /// How many index keys.
    pub(super) index_keys: u64,
}

/// Lets nothing new come under a wrapping key, and then counts: in the other order, a transaction that waits could still
/// bring a data key under it.
pub(super) async fn retire(
    context: &AdminContext,
    kek_id: &KekId,
    origin: &Origin,
) -> anyhow::Result<Retirement> {
    wrapping_keys::change(&context.db, kek_id, Transition::BeginRetirement, origin).await?;
    let data_keys = store::count_under(&context.db, kek_id).await?;
    let index_keys = index_keys::count_under(&context.db, kek_id).await?;
    if data_keys + index_keys == 0 {
        wrapping_keys::change(&context.db, kek_id, Transition::EndRetirement, origin).await?;
    }
    match wrapping_keys::state(&context.db, kek_id).await? {
        Some(state @ KekState::Retired) => Ok(Retirement { state, data_keys, index_keys }),
        Some(state @ KekState::Retiring) if data_keys + index_keys > 0 => {
            Ok(Retirement { state, data_keys, index_keys })
        }
        _ => anyhow::bail!("somebody else let data keys come under {kek_id} again: nothing was retired"),
    }
}

/// `3 data keys`, `3 data keys and 1 index key`.
pub(super) fn keys_under(data_keys: u64, index_keys: u64) -> String {
    let data_keys = counted(data_keys, "data key");
    if index_keys == 0 { data_keys } else { format!("{data_keys} and {}", counted(index_keys, "index key")) }
}

/// What to do about data keys and index keys that need a wrapping key.
pub(super) fn needed(kek_id: &KekId, data_keys: u64, index_keys: u64) -> String {
    let them = if data_keys + index_keys == 1 { "needs" } else { "need" };
    format!(
        "{} {them} {kek_id}, and their data would be lost: first `oubliette-admin keys rewrap --from {kek_id}`, then this \
         again. To let data keys come under it again: `oubliette-admin keys retire --undo {kek_id}`",
        keys_under(data_keys, index_keys)
    )
}

async fn require_known(context: &AdminContext, kek_id: &KekId) -> anyhow::Result<()> {
    let known = wrapping_keys::state(&context.db, kek_id).await?.is_some()
        || context.backends.owner(kek_id).is_some();
    anyhow::ensure!(
        known,
        "no data key was ever under {kek_id}, and no configured key backend has it: see `oubliette-admin keys status`"
    );
    Ok(())
}

async fn require_not_current(context: &AdminContext, kek_id: &KekId) -> anyhow::Result<()> {
    let current = context.backends.active().all_current().await;
    let current = current.context("whether it is the wrapping key of new data keys cannot be told")?;
    anyhow::ensure!(
        !current.contains(kek_id),
        "{kek_id} is the wrapping key of new data keys: first make another one current"
    );
    Ok(())
}
