//! The attributes this service stores, one file each, and the macro that lists those of a person once.

mod change;
mod declared;
mod email;
mod name;
mod personal_data;
mod phone;
mod search;
mod text;

pub use change::Change;
pub use declared::{
    AttributeConfig, AttributeKind, AttributesConfig, BUILT_IN, Declaration, DeclarationError, Declarations,
    Declared, HasKind, MAX_ATTRIBUTE_NAME, MAX_DECLARED, Mask, Normalisation, RESERVED, SEALED_PREFIX,
    is_attribute_name,
};
pub use email::Email;
pub use name::AttributeName;
pub use phone::Phone;
pub use search::{Matching, Search, SearchSettings, Second, TagInput};

pub(crate) use personal_data::personal_data;
