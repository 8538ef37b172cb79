//! The attributes this service stores, one file each.

mod email;
mod phone;

pub use email::Email;
pub use phone::Phone;
