//! Going through many data keys: in batches, by keyset, shared between processes, at a pace, and so that it can
//! be stopped and begun again at any moment.
//!
//! What is to be done with a batch is a [`Chore`]. What remains of it is a condition on the rows of
//! `data_keys`, so that a run that died leaves nothing to be repaired: the next one begins with what remains.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`conduct`] | a whole run, on record |
//! | operation | that record, with its heartbeat |
//! | claims | which batch is whose, while several processes run |
//! | [`Pace`] | how many backend calls at once, how many a second, how long a failing one is tried again |
//! | [`Tally`] | what was done so far |

mod claims;
mod conduct;
mod failure;
mod operation;
mod pace;
mod tally;
mod walk;

pub use conduct::{Report, conduct};
pub use failure::{Failure, StopCause};
use operation::Operation;
pub use operation::{NewOperation, OperationKind, Outcome, is_alive, recent};
pub use pace::{Pace, Refusal};
pub use tally::{Counts, Tally};
pub use walk::{Chore, Controls, Dealt, OnWait, SweepOptions};
