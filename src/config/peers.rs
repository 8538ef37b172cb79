use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::section::{Context, Invalid, Section};

/// `[peers]`: how a server learns whom other servers, and `oubliette-admin`, have forgotten.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeersConfig {
    /// How often the erasure ledger is looked at. At least a millisecond.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// Whether servers also tell each other at once, on PostgreSQL (`LISTEN`, `NOTIFY`).
    pub notify: bool,
}

impl Default for PeersConfig {
    fn default() -> Self {
        Self { poll_interval: Duration::from_millis(500), notify: true }
    }
}

impl Section for PeersConfig {
    fn validate(&self, _: &Context<'_>) -> Result<(), Invalid> {
        // Otherwise the database would be asked without a pause.
        if self.poll_interval < Duration::from_millis(1) {
            return Err(Invalid::new("peers.poll_interval", "must be at least 1ms"));
        }
        Ok(())
    }
}
