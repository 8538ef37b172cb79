//! Data keys: where they are kept, what wraps them, and how they are opened.
//!
//! The [`Keyring`] is the one place that turns a subject into an open data key: store, cache, backends.
//! This room knows nothing of users or GraphQL.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`KeyBackend`] | what wraps and unwraps: the trait, and its error classes |
//! | [`local`] | wrapping keys in a file, for development |
//! | [`Backends`] | all configured backends: one active, the others still unwrap |
//! | [`KeyCache`] | open data keys, for a while |
//! | [`store`] | the table `data_keys` |
//! | [`Keyring`] | all of it together |

mod backend;
mod backends;
mod cache;
mod context;
mod fence;
mod keyring;
pub mod local;
pub mod store;
mod wrapped_key;

pub use backend::{BackendError, ErrorClass, GeneratedKey, KeyBackend};
pub use backends::Backends;
pub use cache::KeyCache;
pub use context::KeyContext;
pub use fence::{Fence, Ticket};
pub use keyring::{Keyring, KeyringError, NewDataKey, OpenedKey};
pub use wrapped_key::{KekId, WrappedKey};
