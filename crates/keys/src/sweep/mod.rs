//! Going through many data keys: in batches, by keyset, shared between processes, at a pace, and so that it can
//! be stopped and begun again at any moment.
//!
//! What is done with a batch is a [`Task`]. What remains of it is a condition on the rows of
//! `data_keys`, so that a run that died leaves nothing to be repaired: the next one begins with what remains.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`run`] | a whole run, on record |
//! | [`scan`] | a run that only reads |
//! | operation | that record, with its heartbeat |
//! | claims | which batch is whose, while several processes run |
//! | [`Pace`] | how many backend calls at once, how many a second, how long a failing one is tried again |
//! | [`Tally`] | what was done so far |

mod claims;
mod failure;
mod operation;
mod options;
mod pace;
mod run;
mod tally;
mod task;

pub use failure::{Failure, StopCause};
use operation::Operation;
pub use operation::{NewOperation, OperationKind, RunOutcome, is_alive, recent};
pub use options::{Controls, OnFailure, OnWait, SweepOptions};
pub use pace::{Pace, Refusal};
pub use run::{Report, run, scan};
pub use tally::{Counts, Tally};
pub use task::{BatchResult, Task};
