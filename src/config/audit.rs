use serde::{Deserialize, Serialize};

use super::section::Section;

/// `[audit]`: what the audit trail records. Changes are always recorded, in their own transaction.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// Whether reads of personal values are recorded, and whether their answer waits for that.
    pub reads: AuditReads,
}

impl Section for AuditConfig {}

/// How reads of personal values are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditReads {
    /// No personal value is answered before its event is stored.
    #[default]
    Required,
    /// Soon after the answer. Events are lost if the process dies, or the database is away for long.
    BestEffort,
    /// Not at all.
    Off,
}
