use clap::Args;
use serde_json::json;

use super::table;
use crate::{config::LoadedConfig, database, keys::store};

/// Counts the data keys under each wrapping key. Needs the database only, no key backend.
#[derive(Args, Debug)]
pub struct Status {
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<String> {
        let db = database::connect(&loaded.config.database).await?;
        database::require_current_schema(&db).await?;
        let keks = store::count_by_kek(&db).await?;
        db.close().await?;
        let total: i64 = keks.iter().map(|kek| kek.data_keys).sum();
        if self.json {
            let keks: Vec<_> =
                keks.iter().map(|kek| json!({ "kek_id": kek.kek_id, "data_keys": kek.data_keys })).collect();
            let status = json!({ "data_keys": total, "wrapping_keys": keks });
            return Ok(serde_json::to_string_pretty(&status)? + "\n");
        }
        let mut rows: Vec<_> = keks.into_iter().map(|kek| [kek.kek_id, kek.data_keys.to_string()]).collect();
        rows.push(["total".to_owned(), total.to_string()]);
        Ok(table(["WRAPPING KEY", "DATA KEYS"], &rows))
    }
}
