use clap::Args;
use serde_json::json;

use crate::{
    admin::{
        context::AdminContext,
        terminal::{self, Align, Output, grouped, table},
    },
    config::LoadedConfig,
    users::UserAttribute,
};

/// Lists the attributes that this configuration declares, with the number of their values, and those that it does not declare and that have
/// values: the server keeps, rotates and forgets these, and answers nothing of them.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  oubliette-admin attributes list")]
pub struct List {
    /// One JSON list
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open(loaded).await?;
        let users = context.users();
        let counts = users.count_values().await?;
        let declared = |name: &str| users.attribute(name);
        let rows: Vec<_> = counts.iter().map(|(name, number)| (name, *number, declared(name))).collect();
        let state =
            |declared: &Option<UserAttribute>| if declared.is_some() { "declared" } else { "orphaned" };
        let kind = |declared: &Option<UserAttribute>| declared.as_ref().map(|one| one.kind().to_string());
        let text = if self.json {
            let list = rows.iter().map(|(name, number, declared)| {
                json!({ "name": name, "kind": kind(declared), "values": number, "state": state(declared) })
            });
            terminal::json(&list.collect())?
        } else {
            let header = [
                ("NAME", Align::Left),
                ("KIND", Align::Left),
                ("VALUES", Align::Right),
                ("STATE", Align::Left),
            ];
            let cells = rows.iter().map(|(name, number, declared)| {
                let kind = kind(declared).unwrap_or_else(|| "?".to_owned());
                [(*name).clone(), kind, grouped(*number), state(declared).to_owned()]
            });
            table(header, cells.collect())
        };
        context.close().await?;
        Ok(text.into())
    }
}
