//! Key backends: what one must do, which kinds there are, how the configured ones are opened, and what every call to them passes.
//!
//! A new kind is one file and one line: the file, with its `mod` below, implements [`KeyBackend`], [`BackendKind`] and
//! [`BackendSettings`]; the line stands in [`KINDS`].
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`KeyBackend`] | what wraps and unwraps: five methods, and more for services that do better |
//! | [`Bound`] | the same over a service that binds no context: [`RawWrap`] |
//! | [`BackendKind`], [`KINDS`] | the kinds: their settings, costs, and advice |
//! | [`settings`] | reading settings, so that an error names one and quotes no secret |
//! | [`open_backends`] | all that are configured |
//! | [`Backends`] | all that are open, each behind its guard: turn, deadline, metrics |
//! | [`KeysInUse`] | whether a wrapping key may be made anew |

mod all;
mod backend;
mod bound;
mod deserializer;
#[cfg(test)]
mod fake;
mod guarded;
mod in_use;
mod kind;
mod kinds;
mod open;
pub mod settings;
#[cfg(test)]
mod tests;
mod unopened;

pub use all::{Backends, owner};
#[cfg(feature = "local")]
pub(crate) use backend::probe;
pub use backend::{BackendError, ErrorClass, GeneratedKey, KeyBackend, Ownership};
pub use bound::{Bound, RawWrap};
pub use in_use::KeysInUse;
pub use kind::{Allowances, BackendKind, BackendSettings, Cost};
pub use kinds::{KINDS, advice, kind};
pub use open::{OpenBackendError, open_backend, open_backends, open_what_can_be};
pub use settings::{RawSettings, SettingError};
