//! What belongs to a subject: the rows that hold their sealed values, and the lock that orders sealing, rotating and
//! forgetting.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`SealedModel`] | a SeaORM model that holds sealed values of one subject |
//! | [`sealed_model!`](crate::sealed_model) | makes one of a model; a field's type says whether it is sealed |
//! | [`sealed_row!`](crate::sealed_row) | the same by lists of fields, for attributes that have their names from data |
//! | [`Registry`] | all such tables of a program: rotation, verification and forgetting walk it |
//! | [`SealingTransaction`] | a transaction in which values are sealed for a new subject, or for one who is there |
//! | [`LockedSubject`] | the lock under it, and the data keys |
//! | [`Keyring::open_value`](crate::Keyring::open_value) | opens a value of a row |
//! | [`read_again_if_rotated`] | reads a row again if a rotation came between the row and its data key |
//! | [`forget`] | destroys a subject's data keys and rows, and their traces |
//! | [`erase`] | the same within a transaction of the caller |
//! | [`unregistered`] | the columns that a registry has forgotten |

mod erase;
#[doc(hidden)]
pub mod field;
mod lock;
mod model;
mod opening;
mod registry;
mod sealing;
mod table;
mod unregistered;

pub use erase::{DestroyedKey, Erased, ForgetError, erase, forget};
pub use lock::{LockedSubject, Sealer};
pub use model::SealedModel;
pub use opening::{MayBeUnreadable, Unreadable, read_again_if_rotated};
pub use registry::Registry;
pub use sealing::{SealingError, SealingTransaction};
use table::{Reseal, SealedTable};
pub use unregistered::unregistered;
