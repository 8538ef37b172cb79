use clap::Args;

use super::terminal::say;
use crate::{config::LoadedConfig, database};

/// Brings the database to this release's schema. Running it again changes nothing; several at once take turns.
#[derive(Args, Debug)]
pub struct Migrate {
    /// Only list what would be done; exit status 1 if there is anything
    #[arg(long)]
    dry_run: bool,
}

impl Migrate {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<String> {
        let db = database::connect(&loaded.config.database).await?;
        let mut made = Vec::new();
        if self.dry_run {
            let pending = database::pending_migrations(&db).await?;
            if !pending.is_empty() {
                anyhow::bail!("{} migration(s) to do: {}", pending.len(), pending.join(", "));
            }
        } else {
            made = database::migrate_telling(&db, say).await?;
        }
        db.close().await?;
        if made.is_empty() {
            return Ok("the schema is up to date\n".to_owned());
        }
        Ok(format!("migrated {}\n", made.join("\nmigrated ")))
    }
}
