//! Data keys: where they are kept, what wraps them, and how they are opened.
//!
//! The [`Keyring`] is the one place that turns a subject into an open data key: store, cache, backends.
//! This crate knows nothing of users or GraphQL.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`backends`] | what wraps and unwraps: the trait [`KeyBackend`], its error classes, the kinds there are |
//! | [`local`] | wrapping keys in a file, for development |
//! | [`aws_kms`] | wrapping keys in AWS KMS, or in LocalStack |
//! | [`Backends`] | all open backends: one active, the others still unwrap |
//! | [`store`] | the table `data_keys` |
//! | [`wrapping_keys`] | the table of wrapping keys: whether anything may still come under one |
//! | [`Keyring`] | all of it together |
//! | [`sweep`] | going through many data keys: shared, resumable, at a pace |
//! | [`rewrap`] | moving data keys to another wrapping key |
//! | [`Observer`] | what can be seen of it from outside |
//! | [`Journal`] | what is recorded of it, in the transaction that does it |

#[cfg(feature = "aws-kms")]
pub mod aws_kms;
pub mod backends;
mod cache;
/// The settings of this crate.
pub mod config;
mod context;
pub mod entity;
mod fence;
mod journal;
mod keyring;
#[cfg(feature = "local")]
pub mod local;
mod migrations;
mod observer;
mod open_data_key;
mod open_wrapping_key;
mod realm;
pub mod rewrap;
pub mod rotate;
mod slot;
pub mod store;
pub mod subjects;
pub mod sweep;
pub mod verify;
mod wrapped_key;
pub mod wrapping_keys;

#[cfg(feature = "aws-kms")]
use oubliette_platform::loopback;
#[cfg(feature = "local")]
use oubliette_platform::secret_file;
use oubliette_platform::{causes, redaction};

pub use oubliette_envelope as envelope;
pub use oubliette_platform::database;
#[doc(hidden)]
pub use sea_orm;

pub use backends::{
    Allowances, BackendError, BackendKind, BackendSettings, Backends, Bound, Cost, ErrorClass, GeneratedKey,
    KINDS, KeyBackend, KeysInUse, OpenError, Ownership, RawSettings, RawWrap, SettingError, advice, kind,
    open_backend, open_backends, open_what_can_be, owner, settings,
};
pub use context::KeyContext;
use fence::{Fence, Ticket};
pub use journal::{Journal, NoJournal};
pub use keyring::{Keyring, KeyringError, NewDataKey, OpenedKey};
pub use migrations::migrations;
pub use observer::{CacheEvent, EvictionCause, Observer, Operation, RefreshOutcome, SharedObserver};
pub use open_data_key::{DataKeyIdentity, OpenDataKey};
pub use realm::Realm;
pub use wrapped_key::{KekId, WrappedKey};
pub use wrapping_keys::{Inactive, KekState, NotStored};
