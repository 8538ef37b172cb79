use std::{num::NonZeroUsize, time::Duration};

use anyhow::Context;
use clap::Args;
use sea_orm::DatabaseConnection;

use super::terminal::say;
use crate::{
    attributes::Declarations,
    audit::{self, MAX_ACTOR, NewEvent, Origin},
    causes,
    characters::is_line,
    config::{KeysConfig, LedgerConfig, LoadedConfig},
    database,
    keys::{Backends, Keyring, SharedObserver, open_what_can_be, unobserved},
    ledger::rollbacks,
    sinks,
    users::Users,
};

/// How long a command that has forgotten waits for those who read the database.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a command works with: the database, and the key backends that can be opened.
#[derive(Debug)]
pub(super) struct AdminContext {
    pub(super) db: DatabaseConnection,
    pub(super) backends: Backends,
    pub(super) config: KeysConfig,
    pub(super) observer: SharedObserver,
    pub(super) declarations: Declarations,
    ledger: LedgerConfig,
    announcing: bool,
}

impl AdminContext {
    /// Opens the database and the backends. What is wrong with backends goes to standard error: not every command
    /// needs each of them.
    pub(super) async fn open(loaded: &LoadedConfig) -> anyhow::Result<Self> {
        Self::open_for(loaded, None).await
    }

    /// The same, for so many calls to a backend at the same time.
    pub(super) async fn open_for(
        loaded: &LoadedConfig,
        concurrency: Option<NonZeroUsize>,
    ) -> anyhow::Result<Self> {
        let db = connect(loaded).await?;
        let observer = unobserved();
        let mut config = loaded.config.keys.clone();
        config.max_concurrent_calls = concurrency.unwrap_or(config.max_concurrent_calls);
        let (backends, errors) = open_what_can_be(&config, &observer).await;
        for (name, error) in errors {
            say(&format!("warning: key backend `{name}`: {}", causes::line(&error)));
        }
        let declarations = Declarations::of(&loaded.config.attributes)?;
        let (ledger, announcing) = (loaded.config.ledger.clone(), loaded.config.peers.notify);
        Ok(Self { db, backends, config, observer, declarations, ledger, announcing })
    }

    /// A keyring of our own.
    pub(super) fn keyring(&self) -> Keyring {
        Keyring::new(self.db.clone(), self.backends.clone(), &self.config, self.observer.clone())
    }

    /// The users, with a keyring of our own.
    pub(super) fn users(&self) -> Users {
        Users::new(self.db.clone(), self.keyring())
            .with_declarations(self.declarations.clone())
            .announcing(self.announcing)
    }

    /// Refuses to show, open or import anybody as long as nobody knows who was forgotten.
    pub(super) async fn require_trusted_ledger(&self) -> anyhow::Result<()> {
        let found = sinks::inspect(&self.ledger, &self.db).await?;
        for sink in found.sinks.iter().filter(|sink| !sink.state.is_whole()) {
            let problem = sink.problem.as_ref().map(|problem| format!(": {problem}"));
            let state = <&str>::from(sink.state);
            say(&format!("warning: the sink `{}` is {state}{}", sink.name, problem.unwrap_or_default()));
        }
        if !found.is_trusted {
            anyhow::bail!(
                "the database is not at one with the ledger outside. Nobody can say who was forgotten, so nobody is shown, opened or imported: see \
                 `oubliette-admin ledger status`"
            );
        }
        if let Some(rollback) = rollbacks::waiting_or(&self.db, &[]).await?.first() {
            anyhow::bail!(
                "the erasure ledger went back: {rollback}. Nobody can say who was forgotten, so nobody is shown, opened or imported: see \
                 `oubliette-admin ledger status`"
            );
        }
        Ok(())
    }

    /// Ends the connections. On SQLite, the log is emptied of what was forgotten; if it cannot be, that is said.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        if !database::close(self.db, TIMEOUT).await? {
            say(&format!("warning: {}", database::STILL_IN_THE_LOG));
        }
        Ok(())
    }
}

/// Opens the database, and refuses a schema that is not this release's.
pub(super) async fn connect(loaded: &LoadedConfig) -> anyhow::Result<DatabaseConnection> {
    let db = database::connect(&loaded.config.database).await?;
    database::require_current_schema(&db).await?;
    Ok(db)
}

/// Records an event in the audit trail. What changes something outside of the database leaves it first: rather an event
/// too many than a change without one.
pub(super) async fn record(db: &DatabaseConnection, event: NewEvent) -> anyhow::Result<()> {
    audit::record(db, [&event]).await.context("the audit trail cannot be written")
}

/// Who does something that is recorded.
#[derive(Args, Debug)]
pub(super) struct Actor {
    /// Who does this, for the record [default: your user name and this machine]
    #[arg(long, value_name = "NAME", value_parser = actor)]
    actor: Option<String>,
}

/// One that is recorded as it was given.
fn actor(name: &str) -> Result<String, &'static str> {
    const MAX_LENGTH: usize = MAX_ACTOR - PREFIX.len();
    if !is_line(name) {
        Err("a name is one line of printed characters, without a space at its ends")
    } else if name.chars().count() > MAX_LENGTH {
        Err("a name has 249 characters at most")
    } else {
        Ok(name.to_owned())
    }
}

/// What an actor in a record begins with, who uses this binary.
const PREFIX: &str = "admin:";

impl Actor {
    pub(super) fn origin(&self) -> Origin {
        let here = || {
            let user = whoami::username().unwrap_or_else(|_| "unknown".to_owned());
            let host = whoami::hostname().unwrap_or_else(|_| "unknown".to_owned());
            format!("{user}@{host}")
        };
        Origin::new(&format!("{PREFIX}{}", self.actor.clone().unwrap_or_else(here)))
    }
}
