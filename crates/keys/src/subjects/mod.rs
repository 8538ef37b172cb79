//! What belongs to a subject: the rows that hold their sealed values, and the lock that orders whoever seals, rotates and
//! forgets.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`SealedModel`], [`sealed_row!`](crate::sealed_row) | a SeaORM model that holds sealed values of one subject |
//! | [`Registry`] | all such tables of a program: rotation, verification and forgetting walk it |
//! | [`LockedSubject`] | the lock, and the data keys under it |
//! | [`unregistered`] | the columns that a registry has forgotten |
//! | [`erase`] | destroys a subject's data keys and rows |

mod erase;
mod lock;
mod model;
mod registry;
mod table;
mod unregistered;

pub use erase::{Erased, erase};
pub use lock::{LockedSubject, Sealer};
pub use model::SealedModel;
pub use registry::Registry;
use table::{Reseal, SealedTable};
pub use unregistered::unregistered;
