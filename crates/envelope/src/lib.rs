//! The envelope around personal data: seal one attribute under one subject's data key, open it again.
//!
//! Pure and synchronous. Nothing in this crate knows a database's contents, HTTP, or a key backend, and
//! nothing in it waits. A [`DataKey`] comes from outside, already open; what leaves is either an
//! [`Encrypted`] column value or a plaintext [`Attribute`] that the caller must have a reason to see.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`Attribute`] | one kind of personal value: its stable name, its rules |
//! | [`DataKey`] | one subject's open AES-256-GCM-SIV key (RFC 8452): `seal`, `open` |
//! | [`Encrypted`] | a sealed attribute: what the column holds |
//! | [`Header`] | the first 18 bytes of a sealed attribute |

mod associated_data;
mod attribute;
#[cfg(feature = "sea-orm")]
mod column;
mod data_key;
mod encrypted;
mod format;
mod identity;
mod key_material;
mod personal;
mod personal_text;
mod sealed_row;

pub use attribute::{Attribute, AttributeError, MAX_NAME_LENGTH};
pub use data_key::{DataKey, OpenError, ResealError, SealError};
pub use encrypted::Encrypted;
pub use format::{Algorithm, FORMAT_VERSION, FormatError, Header, NONCE_LENGTH, OVERHEAD, TAG_LENGTH};
pub use identity::{DataKeyId, KeyVersion, SubjectId};
pub use key_material::{KEY_LENGTH, KeyMaterial, RandomnessError};
pub use personal::Personal;
pub use personal_text::PersonalText;
pub use sealed_row::{Sealed, SealedColumn, SealedField, SealedMut, SealedRow};
