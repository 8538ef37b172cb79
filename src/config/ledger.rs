use std::path::PathBuf;

use oubliette_ledger::SignedCheckpoint;
use serde::{Deserialize, Serialize};

use super::section::{Context, Invalid, Section};
use crate::redaction;

/// `[ledger]`: how the erasure ledger is shown to strangers.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerConfig {
    /// The name of this ledger, such as `example.com/oubliette`: no other ledger has it, and it never changes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub origin: String,
    /// What signs its heads: the same for all servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<SignerConfig>,
}

/// `[ledger.signer]`: what signs heads of the ledger.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SignerConfig {
    /// Where the key is.
    pub kind: SignerKind,
    /// The file with the key.
    pub file: PathBuf,
}

/// Where a key is that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignerKind {
    /// In a file of this machine.
    Local,
}

impl Section for LedgerConfig {
    fn validate(&self, _: &Context<'_>) -> Result<(), Invalid> {
        if self.origin.is_empty() {
            return match self.signer {
                Some(_) => Err(Invalid::new(
                    "ledger.origin",
                    "is missing: a name for this ledger, such as example.com/oubliette",
                )),
                None => Ok(()),
            };
        }
        SignedCheckpoint::body(&self.origin, 0, Default::default()).map(drop).map_err(|_| {
            let origin = redaction::text(&self.origin);
            Invalid::new("ledger.origin", format!("\"{origin}\" has a space, a plus or a line break: take a name such as example.com/oubliette"))
        })
    }
}
