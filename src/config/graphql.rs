use serde::{Deserialize, Serialize};

use super::section::Section;

/// `[graphql]`: what one request may cost. Beyond, it is refused before anything of it runs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraphqlConfig {
    /// Deepest nesting of fields. GraphiQL's own schema query needs 15.
    pub max_depth: usize,
    /// Most fields, those of lists counted once per possible entry.
    pub max_complexity: usize,
    /// Most directives on one field.
    pub max_directives: usize,
    /// Whether the schema can be queried.
    pub introspection: bool,
}

impl Default for GraphqlConfig {
    fn default() -> Self {
        Self { max_depth: 16, max_complexity: 4_000, max_directives: 8, introspection: false }
    }
}

impl Section for GraphqlConfig {}
