//! What `[attributes]` must fulfil to be used by this program.

use super::{
    AttributesConfig,
    keys_section::mac_backends,
    section::{Context, Invalid, Section},
};
use crate::attributes::{Declarations, Second};

impl Section for AttributesConfig {
    fn validate(&self, context: &Context<'_>) -> Result<(), Invalid> {
        let declarations = Declarations::of(self).map_err(|error| Invalid::new(error.key, error.problem))?;
        let second = self.0.keys().find(|name| declarations.search(name).second == Second::Backend);
        match second {
            Some(name) if mac_backends(&context.config.keys).next().is_none() => {
                let problem = "= \"backend\" needs a key backend that makes MACs: set keys.backends.NAME.mac_key_id of one with kind = \"aws-kms\"";
                Err(Invalid::new(format!("attributes.{name}.second"), problem))
            }
            _ => Ok(()),
        }
    }
}
