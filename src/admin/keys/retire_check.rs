use clap::Args;
use serde_json::json;

use super::retire::keys_under;
use crate::{
    admin::{
        context::AdminContext,
        terminal::{self, Output},
    },
    config::LoadedConfig,
    keys::{KekId, KekState, index_keys, store, wrapping_keys},
};

/// Says whether a wrapping key can be destroyed, as far as this database is concerned: whether it is retired, and no data
/// key needs it. Changes nothing.
///
/// Exit status: 0 if it can, 1 if not.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  oubliette-admin keys retire-check arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab")]
pub struct RetireCheck {
    /// The wrapping key's id, as `keys status` shows it
    kek: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl RetireCheck {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open(loaded).await?;
        let kek_id = KekId::new(&*self.kek);
        let state = wrapping_keys::state(&context.db, &kek_id).await?;
        let data_keys = store::count_under(&context.db, &kek_id).await?;
        let index_keys = index_keys::count_under(&context.db, &kek_id).await?;
        let current = match context.backends.active().all_current().await {
            Ok(current) => current.contains(&kek_id),
            // Its backend may be the one that is to go.
            Err(_) => false,
        };
        context.close().await?;
        let status = u8::from(data_keys + index_keys > 0 || state != Some(KekState::Retired));
        if self.json {
            let object = json!({
                "kek_id": self.kek, "data_keys": data_keys, "index_keys": index_keys, "wraps_new_data_keys": current,
                "state": state.map(KekState::as_str), "can_be_destroyed": status == 0,
            });
            return Ok(Output { text: terminal::json(&object)?, status });
        }
        let keys = keys_under(data_keys, index_keys);
        let mut text = format!("{keys} in this database under {}\n", self.kek);
        if data_keys + index_keys > 0 {
            let lost = if data_keys > 0 { "their data" } else { "what people are found by" };
            text.push_str(&format!(
                "NO: destroying it destroys {lost}. First: oubliette-admin keys rewrap --from {}\n",
                self.kek
            ));
        } else if current {
            text.push_str("NO: it is the wrapping key of new data keys. First make another one current\n");
        } else if status > 0 {
            text.push_str(&format!(
                "NO: a data key may come under it at any moment. First: oubliette-admin keys retire {}\n",
                self.kek
            ));
        } else {
            text.push_str(
                "yes, as far as this database is concerned. Backups made before the last rewrap need it still: \
                 keep it as long as you keep them\n",
            );
        }
        Ok(Output { text, status })
    }
}
