//! What `[attributes]` must fulfil to be used by this program.

use super::{
    AttributesConfig,
    section::{Context, Invalid, Section},
};
use crate::attributes::Declarations;

impl Section for AttributesConfig {
    fn validate(&self, _: &Context<'_>) -> Result<(), Invalid> {
        Declarations::of(self).map(drop).map_err(|error| Invalid::new(error.key, error.problem))
    }
}
