//! Data keys: where they are kept, what wraps them, and how they are opened.
//!
//! The [`Keyring`] is the one place that turns a subject into an open data key: store, cache, backends.
//! This crate knows nothing of users or GraphQL.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`KeyBackend`] | what wraps and unwraps: the trait, and its error classes |
//! | [`local`] | wrapping keys in a file, for development |
//! | [`aws_kms`] | wrapping keys in AWS KMS, or in LocalStack |
//! | [`Backends`] | all configured backends: one active, the others still unwrap |
//! | [`store`] | the table `data_keys` |
//! | [`wrapping_keys`] | the table of wrapping keys: whether anything may still come under one |
//! | [`Keyring`] | all of it together |
//! | [`sweep`] | going through many data keys: shared, resumable, at a pace |
//! | [`rewrap`] | moving data keys to another wrapping key |
//! | [`Observer`] | what can be seen of it from outside |
//! | [`Journal`] | what is recorded of it, in the transaction that does it |

#[cfg(feature = "aws-kms")]
pub mod aws_kms;
mod backend;
mod backends;
mod cache;
/// The settings of this crate.
pub mod config;
mod context;
pub mod entity;
mod fence;
mod guarded;
mod journal;
mod keyring;
#[cfg(feature = "local")]
pub mod local;
mod migrations;
mod observer;
mod open;
mod open_data_key;
pub mod rewrap;
pub mod rotate;
mod slot;
pub mod store;
pub mod subjects;
pub mod sweep;
mod sweep_defaults;
mod unopened;
pub mod verify;
mod wrapped_key;
pub mod wrapping_keys;

use oubliette_platform::{causes, loopback, secret_file};

pub use oubliette_envelope as envelope;
pub use oubliette_platform::database;
#[doc(hidden)]
pub use sea_orm;

pub use backend::{BackendError, ErrorClass, GeneratedKey, KeyBackend, Ownership};
pub use backends::{Backends, owner};
pub use context::KeyContext;
use fence::{Fence, Ticket};
pub use journal::{Journal, NoJournal};
pub use keyring::{Keyring, KeyringError, NewDataKey, OpenedKey};
pub use migrations::migrations;
pub use observer::{CacheEvent, EvictionCause, Observer, Operation, RefreshOutcome, SharedObserver};
pub use open::{OpenError, open_backend, open_backends, open_what_can_be};
pub use open_data_key::{DataKeyIdentity, OpenDataKey};
pub use wrapped_key::{KekId, WrappedKey};
pub use wrapping_keys::{Inactive, KekState, NotStored};
