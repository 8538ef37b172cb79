use serde::{Deserialize, Serialize};

use super::section::Section;

/// `[memory]`: what keeps open keys and personal values from leaving the process's memory.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    /// Whether the process may dump core and be looked into by other processes of its user.
    pub core_dumps: bool,
    /// Whether the memory is locked, so that nothing of it is written to swap.
    pub lock: MemoryLock,
}

impl Section for MemoryConfig {}

/// Whether memory is locked against swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryLock {
    /// If the system permits it.
    #[default]
    Auto,
    /// Always: the server does not start without.
    Required,
    /// Never.
    Off,
}
