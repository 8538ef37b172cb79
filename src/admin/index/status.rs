use clap::Args;
use serde_json::json;

use crate::{
    admin::{
        context::AdminContext,
        terminal::{self, Align, Output, grouped, second, table},
    },
    attributes::Search,
    config::LoadedConfig,
    keys::index_keys,
};

/// Shows the indexes by which people are found, the index keys, and what is to be done. Changes nothing.
///
/// Exit status: 0 if people are found by what this configuration says, 1 if not.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  oubliette-admin index status")]
pub struct Status {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open(loaded).await?;
        let users = context.users();
        let search = users.search();
        let indexes = search.all().await?;
        let mut counts = Vec::with_capacity(indexes.len());
        for index in &indexes {
            counts.push(search.count(index).await?);
        }
        let keys = index_keys::all(&context.db).await?;
        let (missing, unwanted) = (search.not_served().await?, search.unwanted().await?);
        context.close().await?;
        let status = u8::from(!missing.is_empty());
        if self.json {
            let list = indexes.iter().zip(&counts).map(|(index, tags)| {
                json!({
                    "attribute": index.attribute, "epoch": index.epoch, "rules": index.rules, "unique": index.is_unique,
                    "state": index.state.as_str(), "tags": tags, "begun_at": second(index.created_at),
                })
            });
            let list: Vec<_> = list.collect();
            let keys = keys.iter().map(|key| {
                json!({ "epoch": key.id.epoch, "kek_id": key.wrapped.kek_id.as_str(), "created_at": second(key.created_at) })
            });
            let unwanted: Vec<_> = unwanted.iter().map(|index| index.attribute.as_str()).collect();
            let object = json!({
                "indexes": list, "index_keys": keys.collect::<Vec<_>>(), "not_ready": missing, "unwanted": unwanted,
            });
            return Ok(Output { text: terminal::json(&object)?, status });
        }
        let rows = indexes.iter().zip(counts).map(|(index, tags)| {
            let unique = if index.is_unique { "unique" } else { "" };
            [
                index.attribute.clone(),
                index.epoch.to_string(),
                index.rules.clone(),
                unique.to_owned(),
                index.state.to_string(),
                grouped(tags),
                second(index.created_at),
            ]
        });
        let header = [
            ("ATTRIBUTE", Align::Left),
            ("EPOCH", Align::Right),
            ("RULES", Align::Left),
            ("", Align::Left),
            ("STATE", Align::Left),
            ("TAGS", Align::Right),
            ("BEGUN", Align::Left),
        ];
        let mut text = table(header, rows.collect());
        text.push('\n');
        let rows = keys
            .iter()
            .map(|key| [key.id.epoch.to_string(), key.wrapped.kek_id.to_string(), second(key.created_at)]);
        let header = [("INDEX KEY", Align::Right), ("WRAPPING KEY", Align::Left), ("MADE", Align::Left)];
        text.push_str(&table(header, rows.collect()));
        for name in &missing {
            text.push_str(&format!("NOBODY is found by {name}: run `oubliette-admin index build`\n"));
        }
        for index in unwanted {
            text.push_str(&format!(
                "{} is not searched by this configuration, and has an index all the same: `oubliette-admin index retire` ends it\n",
                index.attribute
            ));
        }
        let searched =
            search.attributes().iter().filter(|searched| searched.settings.search == Search::Exact);
        if searched.count() == 0 {
            text.push_str("people are found by nothing: no attribute has search = \"exact\"\n");
        }
        Ok(Output { text, status })
    }
}
