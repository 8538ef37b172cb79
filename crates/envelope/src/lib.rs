//! The envelope around personal data: seal one attribute under one subject's data key, open it again.
//!
//! Pure and synchronous. Nothing in this crate knows a database's contents, HTTP, or a key backend, and
//! nothing in it waits. A [`DataKey`] comes from outside, already open; what leaves is either an
//! [`Encrypted`] column value or a [`Personal`] value that the caller must have a reason to see.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`Attribute`] | one kind of personal value: its stable name, its rules |
//! | [`Personal`] | a checked value of an attribute, in the clear: not printed, wiped when dropped |
//! | [`DataKey`] | one subject's open AES-256-GCM-SIV key (RFC 8452): `seal`, `open` |
//! | [`Opener`] | opens many values, one after another, for those who copy each on at once |
//! | [`Encrypted`] | a sealed attribute: what the column holds |
//! | [`IndexKey`] | makes the tags by which values are found again: HMAC-SHA-256 |
//! | [`Header`] | the first 18 bytes of a sealed attribute |
//!
//! # From a data key to a forgotten person
//!
//! ```
//! use oubliette_envelope::{
//!     Attribute, AttributeError, DataKey, DataKeyId, Encrypted, KeyMaterial, KeyVersion, OpenError, Personal, PersonalText,
//!     SubjectId,
//! };
//!
//! enum Email {}
//!
//! impl Attribute for Email {
//!     const NAME: &'static str = "people.email";
//!     const FIELD: &'static str = "email";
//!
//!     fn parse(input: &str) -> Result<PersonalText, AttributeError> {
//!         if !input.contains('@') {
//!             return Err(AttributeError::new("has no @"));
//!         }
//!         Ok(PersonalText::new(input.trim().to_lowercase()))
//!     }
//! }
//!
//! fn fresh_key(subject: SubjectId) -> Result<DataKey, Box<dyn std::error::Error>> {
//!     Ok(DataKey::new(DataKeyId { subject, version: KeyVersion::FIRST }, &KeyMaterial::generate()?))
//! }
//!
//! // One data key for each person.
//! let (ada, grace) = (SubjectId::generate(), SubjectId::generate());
//! let (key_of_ada, key_of_grace) = (fresh_key(ada)?, fresh_key(grace)?);
//!
//! // A value is checked, then sealed. What is sealed is 34 bytes longer, and says which data key opens it.
//! let email = Personal::parse("Ada@Example.com")?;
//! let sealed: Encrypted<Email> = key_of_ada.seal(&email)?;
//! assert_eq!(sealed.as_bytes().len(), "ada@example.com".len() + oubliette_envelope::OVERHEAD);
//! assert_eq!(sealed.header()?.key_version, KeyVersion::FIRST);
//!
//! // Ada's key opens it, and nobody else's.
//! assert_eq!(key_of_ada.open(&sealed)?.expose(), "ada@example.com");
//! assert_eq!(key_of_grace.open(&sealed), Err(OpenError::NotAuthentic));
//!
//! // Whatever prints it shows nothing of it.
//! assert_eq!(format!("{email:?} {sealed:?}"), "[personal] Encrypted(49 bytes)");
//!
//! // Ada is forgotten with her data key. What was sealed may lie about in backups: no other key opens it.
//! drop(key_of_ada);
//! assert_eq!(fresh_key(ada)?.open(&sealed), Err(OpenError::NotAuthentic));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where data keys are kept meanwhile, and what wraps them, is the business of `oubliette-keys`.

mod associated_data;
mod attribute;
#[cfg(feature = "sea-orm")]
mod column;
mod data_key;
mod encrypted;
mod format;
mod identity;
mod index_key;
mod key_material;
mod opener;
mod personal;
mod personal_text;
mod sealed_row;

pub use attribute::{Attribute, AttributeError, MAX_NAME_LENGTH, NamedAttribute};
pub use data_key::{DataKey, OpenError, ResealError, SealError};
pub use encrypted::Encrypted;
pub use format::{Algorithm, FORMAT_VERSION, FormatError, Header, NONCE_LENGTH, OVERHEAD, TAG_LENGTH};
pub use identity::{DataKeyId, KeyVersion, SubjectId};
pub use index_key::{BlindedValue, INDEX_TAG_LENGTH, IndexKey, IndexTag, MAC_LENGTH};
pub use key_material::{KEY_LENGTH, KeyMaterial, RandomnessError};
pub use opener::Opener;
pub use personal::Personal;
pub use personal_text::PersonalText;
pub use sealed_row::{Sealed, SealedColumn, SealedField, SealedMut, SealedRow};
