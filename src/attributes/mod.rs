//! The attributes this service stores, one file each, and the macro that lists those of a person once.

mod change;
mod email;
mod name;
mod personal_data;
mod phone;
mod text;

pub use change::Change;
pub use email::Email;
pub use name::AttributeName;
pub use personal_data::Holds;
pub use phone::Phone;

pub(crate) use personal_data::personal_data;
