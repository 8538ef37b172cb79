//! Attributes that an operator declares in the configuration, under `[attributes]`: each has a name, a kind, rules for its values, and a mask.
//!
//! A value was checked when it was sealed, and is not checked again: it stays readable when its declaration changes.

mod config;
mod declaration;
mod declarations;
mod kind;
mod mask;
mod name;
mod normalise;

pub use config::{AttributeConfig, AttributesConfig};
pub use declaration::{Declaration, Declared, SEALED_PREFIX};
pub use declarations::{BUILT_IN, DeclarationError, Declarations, MAX_DECLARED, RESERVED};
pub use kind::{AttributeKind, HasKind};
pub use mask::Mask;
pub use name::{MAX_ATTRIBUTE_NAME, is_attribute_name};
pub use normalise::Normalisation;
pub(super) use normalise::normal;
