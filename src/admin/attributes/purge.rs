use clap::Args;
use serde_json::json;

use crate::{
    admin::{
        context::{Actor, AdminContext},
        terminal::{self, Output, confirm, grouped, say},
    },
    config::LoadedConfig,
};

/// Removes all values of an attribute that is not declared any more. Nothing brings them back, but a backup. If it is interrupted, call it again.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  oubliette-admin attributes purge national_id")]
pub struct Purge {
    /// The attribute's name
    name: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

impl Purge {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open(loaded).await?;
        let (users, name) = (context.users(), &self.name);
        if users.attribute(name).is_some() {
            anyhow::bail!(
                "`{name}` is declared here, so its values are kept. Take [attributes.{name}] out of the configuration of all \
                 servers first"
            );
        }
        let planned = users.count_values_of(name).await?;
        if planned == 0 {
            anyhow::bail!(
                "there is no value of an attribute `{name}`: `oubliette-admin attributes list` has those that there are"
            );
        }
        let question = format!("Remove {} values of `{name}`?", grouped(planned));
        if !confirm(&question, self.yes)? {
            say("nothing was done");
            return Ok(Output::unwell(String::new()));
        }
        let mut removed = 0;
        loop {
            match users.purge_some(name, &self.actor.origin()).await? {
                0 => break,
                some => removed += some,
            }
        }
        context.close().await?;
        let text = if self.json {
            terminal::json(&json!({ "name": name, "removed": removed }))?
        } else {
            format!("removed {} values of `{name}`\n", grouped(removed))
        };
        Ok(text.into())
    }
}
