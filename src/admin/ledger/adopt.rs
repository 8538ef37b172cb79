use std::fmt::Write;

use anyhow::bail;
use clap::Args;
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};

use super::{line, object};
use crate::{
    admin::{
        context::{Actor, connect},
        terminal::{self, Output, confirm, counted, say},
    },
    chain::Head,
    config::LoadedConfig,
    ledger::{self, rollbacks},
    sinks::{self, Fork, InspectedSink},
};

/// Adopts the erasure ledger as it is, after it went back: a standby took over that did not have its last entries, or a
/// backup was restored.
///
/// Until then, servers answer nothing personal. First forget again whom the lost entries named: from the receipts, the old
/// primary, a later backup, or the log lines `user forgotten`. Forgetting works meanwhile. Servers go on at their next look
/// (peers.poll_interval).
///
/// With --sink, adopts the history of a sink, where the sink and the database have gone on in two ways that were both signed. Servers bring
/// the sink's entries in, and append the database's own again behind. Whoever has a receipt of one of those gets a new one. No other sink may have
/// the database's history.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin ledger status
  oubliette-admin ledger adopt
  oubliette-admin ledger adopt --sink archive")]
pub struct Adopt {
    /// The sink whose history is the right one, as the configuration names it
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

impl Adopt {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let db = connect(loaded).await?;
        let adopted = match &self.sink {
            Some(sink) => self.adopt_fork(loaded, &db, sink).await,
            None => self.adopt_rollbacks(&db).await,
        };
        db.close().await?;
        adopted
    }

    async fn adopt_rollbacks(&self, db: &DatabaseConnection) -> anyhow::Result<Output> {
        let waiting = rollbacks::waiting_or(db, &[]).await?;
        if waiting.is_empty() {
            return Ok(if self.json {
                terminal::json(&json!({ "adopted": [] }))?
            } else {
                "nothing waits to be adopted\n".to_owned()
            }
            .into());
        }
        if !self.json {
            for rollback in &waiting {
                say(&line(rollback));
            }
            say("whoever was forgotten there, and is in the database again, is answered about from then on");
        }
        if !confirm("Adopt the ledger as it is?", self.yes)? {
            return Ok(nothing());
        }
        let adopted = rollbacks::adopt(db, &waiting, &self.actor.origin()).await?;
        if self.json {
            let list: Vec<_> = adopted.iter().map(object).collect();
            return Ok(terminal::json(&json!({ "adopted": list }))?.into());
        }
        Ok(format!("{} adopted\n", counted(adopted.len() as u64, "rollback")).into())
    }

    async fn adopt_fork(
        &self,
        loaded: &LoadedConfig,
        db: &DatabaseConnection,
        name: &str,
    ) -> anyhow::Result<Output> {
        let found = sinks::inspect(&loaded.config.ledger, db).await?.sinks;
        let Some(sink) = found.iter().find(|sink| sink.name == name) else {
            bail!("there is no sink `{name}`: see `oubliette-admin ledger status`");
        };
        let (Some(Fork { common, database }), Some(head)) = (&sink.fork, &sink.head) else {
            bail!(
                "the sink `{name}` is {}: there are no two histories to choose from",
                <&str>::from(sink.state)
            );
        };
        let has_the_other = |sink: &&InspectedSink| {
            sink.state.is_whole() && sink.head.as_ref().is_some_and(|head| head.sequence > common.sequence)
        };
        if let Some(InspectedSink { name: other, .. }) = found.iter().find(has_the_other) {
            bail!(
                "the sink `{other}` has the database's history, which would be given up: take it out of the configuration of all servers first. With another name, and in \
                 a place that is empty, it is filled anew afterwards"
            );
        }
        if !self.json {
            say(&choice(common, head, database));
        }
        if !confirm("Adopt the sink's history?", self.yes)? {
            return Ok(nothing());
        }
        if !ledger::adopt_fork(db, common, database, name, &self.actor.origin()).await? {
            bail!("the ledger has changed meanwhile; nothing was done");
        }
        if self.json {
            let place = |head: &Head| -> Value {
                json!({ "sequence": head.sequence, "digest": hex::encode(&head.digest) })
            };
            let adopted = json!({
                "sink": name, "common": place(common), "adopted_head": place(head), "given_up_head": place(database),
            });
            return Ok(terminal::json(&adopted)?.into());
        }
        Ok("adopted; a server that runs, or starts, brings its entries in\n".to_owned().into())
    }
}

fn choice(common: &Head, sink: &Head, database: &Head) -> String {
    let mut text = format!("the two histories are the same up to entry {}\n", common.sequence);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "the sink's ends at {sink}, the database's at {database}");
    text.push_str(
        "everybody in the sink's entries is forgotten again; those in the database's own stay forgotten, at other places in the ledger. A receipt of theirs is of a \
         history that is given up: give them new ones",
    );
    text
}

fn nothing() -> Output {
    Output { text: "nothing was done\n".to_owned(), status: 1 }
}
