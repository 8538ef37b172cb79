use std::sync::Arc;

use serde_json::json;

use super::{KEK_PREFIX, LocalBackendConfig};
use crate::{BackendKind, BackendSettings, KekId, RawSettings, SettingError, settings};

/// `kind = "local"`.
pub(crate) const KIND: Local = Local;

/// Wrapping keys in a file. For development.
#[derive(Debug)]
pub(crate) struct Local;

impl BackendKind for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn settings(&self, raw: &RawSettings) -> Result<Arc<dyn BackendSettings>, SettingError> {
        Ok(Arc::new(settings::read::<LocalBackendConfig>(raw)?))
    }

    fn specimen(&self) -> RawSettings {
        settings::specimen::<LocalBackendConfig>([("file", json!(""))])
    }

    fn advice(&self, kek_id: &KekId) -> Option<Vec<String>> {
        let name = kek_id.as_str().strip_prefix(KEK_PREFIX)?;
        Some(vec![format!("file = the key file that has the key `{name}`")])
    }

    fn how_it_rewraps(&self) -> &'static str {
        "in this process, within the key file"
    }
}
