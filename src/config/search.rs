use serde::{Deserialize, Serialize};

use super::section::Section;

/// `[search]`: by what people are found. Which attributes they are found by is said at each: `attributes.NAME.search`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchConfig {
    /// Whether a server builds the indexes that are missing when it starts, before it serves.
    pub build_at_start: bool,
}

impl Section for SearchConfig {}
