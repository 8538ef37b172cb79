use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::table;
use crate::{
    causes,
    config::LoadedConfig,
    database,
    keys::{KekId, KeyBackend, KeyMetrics, open_backend, owner, store},
};

/// Counts the data keys under each wrapping key, and says which backend opens them. Asks the database only.
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
        let backends = backends(loaded).await;
        let total: i64 = keks.iter().map(|kek| kek.data_keys).sum();
        let owned = keks.into_iter().map(|kek| {
            let all = backends.iter().map(|backend| &**backend);
            let owner = owner(all, &KekId::new(&*kek.kek_id)).map(|backend| backend.name().to_owned());
            (kek, owner)
        });
        if self.json {
            let keks: Vec<_> = owned
                .map(|(kek, owner)| json!({ "kek_id": kek.kek_id, "backend": owner, "data_keys": kek.data_keys }))
                .collect();
            let status = json!({ "data_keys": total, "wrapping_keys": keks });
            return Ok(serde_json::to_string_pretty(&status)? + "\n");
        }
        let none = || "none configured".to_owned();
        let mut rows: Vec<_> = owned
            .map(|(kek, owner)| [kek.kek_id, owner.unwrap_or_else(none), kek.data_keys.to_string()])
            .collect();
        rows.push(["total".to_owned(), String::new(), total.to_string()]);
        Ok(table(["WRAPPING KEY", "BACKEND", "DATA KEYS"], &rows))
    }
}

/// The backends that can be opened. What is wrong with the others goes to standard error, and counting goes
/// on without them.
async fn backends(loaded: &LoadedConfig) -> Vec<Arc<dyn KeyBackend>> {
    let mut opened = Vec::new();
    for (name, config) in &loaded.config.keys.backends {
        match open_backend(name, config, &KeyMetrics::default()).await {
            Ok(backend) => opened.push(backend),
            #[expect(clippy::print_stderr, reason = "a command's complaint")]
            Err(error) => eprintln!("warning: key backend `{name}`: {}", causes::line(&error)),
        }
    }
    opened
}
