use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use sea_orm::Condition;
use serde_json::json;

use super::retire::{Retirement, needed, retire};
use crate::{
    admin::{
        context::{self, Actor, AdminContext, connect},
        terminal::{self, Align, Output, confirm, grouped, table},
    },
    audit::{Action, NewEvent},
    config::{KeysConfig, LoadedConfig},
    keys::{
        local::{KeyFile, KeyFileEditor, kek_id},
        store, wrapping_keys,
    },
};

/// What an operator can do with a local key file. Running servers follow the file by themselves.
#[derive(Debug, Subcommand)]
#[command(after_help = "To change the wrapping key:
  oubliette-admin keys local add
  oubliette-admin keys local promote NAME     # new data keys are under it
  oubliette-admin keys rewrap                 # and the old ones, too
  oubliette-admin keys local retire OLD-NAME  # nothing comes under it any more; it leaves the file")]
pub enum Local {
    /// Add a fresh wrapping key. It wraps nothing before it is promoted
    Add(Add),
    /// List the wrapping keys
    List(List),
    /// Make a wrapping key the one that wraps new data keys
    Promote(Promote),
    /// Take a wrapping key out of the file, for good; refused while a data key needs it
    Retire(Retire),
}

/// Which key file.
#[derive(Args, Debug)]
pub(super) struct Which {
    /// The backend, if there are several local ones
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Adds a fresh wrapping key.
#[derive(Args, Debug)]
pub struct Add {
    /// Its name: letters, digits, dashes, underscores [default: the date, and something random]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    actor: Actor,
}

/// Lists the wrapping keys.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    which: Which,
}

/// Makes a wrapping key the one that wraps new data keys.
#[derive(Args, Debug)]
pub struct Promote {
    /// Its name, with or without `local:`
    name: String,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    actor: Actor,
}

/// Takes a wrapping key out of the file, for good.
#[derive(Args, Debug)]
pub struct Retire {
    /// Its name, with or without `local:`
    name: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    actor: Actor,
}

impl Local {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        match self {
            Self::Add(add) => add.run(loaded).await,
            Self::List(list) => list.run(loaded).await,
            Self::Promote(promote) => promote.run(loaded).await,
            Self::Retire(retire) => retire.run(loaded).await,
        }
    }
}

impl Add {
    async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let mut file = self.which.edit(loaded)?;
        let name = file.add(self.name)?;
        let db = connect(loaded).await?;
        if wrapping_keys::state(&db, &kek_id(&name)).await?.is_some() {
            anyhow::bail!(
                "there was a wrapping key {} already, and what is under it would be taken for what is under the new one: \
                 choose another name",
                kek_id(&name)
            );
        }
        context::record(&db, self.actor.event(Action::KeyLocalAdd, &name)).await?;
        db.close().await?;
        file.save()?;
        let text = format!(
            "added {}. It wraps nothing yet: oubliette-admin keys local promote {name}\n",
            kek_id(&name)
        );
        self.which.answer(&name, text)
    }
}

impl List {
    async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let file = KeyFile::read(&self.which.path(&loaded.config.keys)?)?;
        let context = AdminContext::open(loaded).await?;
        let used = store::count_by_kek(&context.db, Condition::all()).await?;
        context.close().await?;
        let keys = file.keys().map(|(name, key)| {
            let id = kek_id(name);
            let used = used.iter().find(|kek| kek.kek_id == id.as_str());
            let data_keys = used.map_or(0, |kek| kek.data_keys.cast_unsigned());
            (name, key.created_at.format("%Y-%m-%d %H:%M:%SZ").to_string(), name == file.primary(), data_keys)
        });
        if self.which.json {
            let keys: Vec<_> = keys
                .map(|(name, created_at, primary, data_keys)| {
                    json!({ "name": name, "created_at": created_at, "primary": primary, "data_keys": data_keys })
                })
                .collect();
            return Ok(terminal::json(&json!({ "keys": keys }))?.into());
        }
        let rows = keys.map(|(name, created_at, primary, data_keys)| {
            let role = if primary { "wraps new data keys" } else { "" };
            [name.to_owned(), created_at, grouped(data_keys), role.to_owned()]
        });
        let header =
            [("NAME", Align::Left), ("CREATED", Align::Left), ("DATA KEYS", Align::Right), ("", Align::Left)];
        Ok(table(header, rows.collect()).into())
    }
}

impl Promote {
    async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let name = bare(&self.name);
        let mut file = self.which.edit(loaded)?;
        let before = file.primary().to_owned();
        file.promote(name)?;
        let db = connect(loaded).await?;
        // First of all: a server that sees the file's change must be able to use the key.
        wrapping_keys::activate(&db, &kek_id(name), &self.actor.origin()).await?;
        if before != name {
            context::record(&db, self.actor.event(Action::KeyLocalPromote, name)).await?;
        }
        db.close().await?;
        file.save()?;
        let text = if before == name {
            format!("{} wraps new data keys already\n", kek_id(name))
        } else {
            format!(
                "{} wraps new data keys, instead of {}. The old ones move with: oubliette-admin keys rewrap\n",
                kek_id(name),
                kek_id(&before)
            )
        };
        self.which.answer(name, text)
    }
}

impl Retire {
    async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let name = bare(&self.name);
        let id = kek_id(name);
        let question = format!(
            "Take {id} out of the key file, for good? Backups of the database made before the last rewrap need it \
             still"
        );
        // A name that cannot be retired is said before anything is asked.
        self.which.edit(loaded)?.remove(name)?;
        if !confirm(&question, self.yes)? {
            return Ok(Output { text: "nothing was done\n".to_owned(), status: 1 });
        }
        self.which.wait_for_servers(loaded).await?;
        let mut file = self.which.edit(loaded)?;
        file.remove(name)?;
        let context = AdminContext::open(loaded).await?;
        let retirement = retire(&context, &id, &self.actor.origin()).await?;
        let Retirement { data_keys, index_keys, .. } = retirement;
        anyhow::ensure!(data_keys + index_keys == 0, needed(&id, data_keys, index_keys));
        context::record(&context.db, self.actor.event(Action::KeyLocalRetire, name)).await?;
        context.close().await?;
        file.save()?;
        self.which.answer(name, format!("{id} is retired\n"))
    }
}

impl Actor {
    fn event(&self, action: Action, name: &str) -> NewEvent {
        NewEvent::new(&self.origin(), action).target(kek_id(name))
    }
}

/// Servers look at the file each second. One that has not seen a key before the other ones are gone does not use the file.
const SEEN_BY_SERVERS_AFTER: Duration = Duration::from_secs(3);

impl Which {
    /// Waits until servers have seen the last change of the file.
    async fn wait_for_servers(&self, loaded: &LoadedConfig) -> anyhow::Result<()> {
        let path = self.path(&loaded.config.keys)?;
        let changed = std::fs::metadata(&path)?.modified()?;
        // A change that seems to come was made under another clock.
        let age = changed.elapsed().unwrap_or_default();
        tokio::time::sleep(SEEN_BY_SERVERS_AFTER.saturating_sub(age)).await;
        Ok(())
    }

    fn edit(&self, loaded: &LoadedConfig) -> anyhow::Result<KeyFileEditor> {
        Ok(KeyFileEditor::open(&self.path(&loaded.config.keys)?)?)
    }

    fn path(&self, config: &KeysConfig) -> anyhow::Result<PathBuf> {
        let mut local = config.backends.iter().filter_map(|(name, backend)| {
            let settings = backend.read().ok()?;
            Some((name, settings.key_file()?.to_owned()))
        });
        if let Some(wanted) = &self.backend {
            let found = local.find(|(name, _)| *name == wanted);
            return found.map(|(_, file)| file).ok_or_else(|| {
                anyhow::anyhow!("there is no local key backend `{wanted}` in the configuration")
            });
        }
        match (local.next(), local.next()) {
            (Some((_, file)), None) => Ok(file),
            (None, _) => anyhow::bail!("the configuration has no local key backend"),
            (Some(_), Some(_)) => {
                anyhow::bail!("there are several local key backends: name one with --backend")
            }
        }
    }

    fn answer(&self, name: &str, text: String) -> anyhow::Result<Output> {
        if self.json {
            return Ok(terminal::json(&json!({ "name": name, "kek_id": kek_id(name).as_str() }))?.into());
        }
        Ok(text.into())
    }
}

fn bare(name: &str) -> &str {
    name.strip_prefix(crate::keys::local::KEK_PREFIX).unwrap_or(name)
}
