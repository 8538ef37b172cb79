use serde::{Deserialize, Serialize};

use super::section::Section;

/// `[limits]`: what one caller may take from the others. Each server counts for itself. 0: no limit.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Most subjects whose personal attributes one token may open within a minute, unless the token says
    /// otherwise. Opening the same again is free.
    pub subjects_per_minute: u32,
    /// Most subjects whose personal attributes one token may open within a second, on average; twice as many at once.
    /// The same again counts again, once a request: each leaves an event in the audit trail.
    pub looks_per_second_per_token: u32,
    /// Most events within a minute that tell of something refused to one token. Beyond, its requests are refused
    /// before they are read.
    pub refusals_per_minute_per_token: u32,
    /// Most requests of one token within a second, on average; twice as many at once.
    pub requests_per_second_per_token: u32,
    /// Most requests from one address within a second, on average; twice as many at once. An IPv6 address
    /// counts as its /64.
    pub requests_per_second_per_address: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            subjects_per_minute: 1_000,
            looks_per_second_per_token: 1_000,
            refusals_per_minute_per_token: 60,
            requests_per_second_per_token: 500,
            requests_per_second_per_address: 1_000,
        }
    }
}

impl Section for LimitsConfig {}
