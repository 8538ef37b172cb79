//! A hash chain in a table: each entry names the digest of the one before it, and the newest is in another table's only row.
//!
//! The digest of an entry is the SHA-256 of lines of plain text, so that anybody can check it with a shell. The chain writes the
//! first three, what an entry says follows.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`Head`], [`GENESIS`] | where a chain ends, `SEQUENCE:DIGEST`; what the first entry follows |
//! | `Entry`, `Link` | what an entry says, and its digest; an entry at its place |
//! | `Chained` | new entries, chained after a head |
//! | `Table`, `Row` | where a chain is stored; its head, locked and moved; its pages |
//! | `verify`, [`Verification`] | the walk over a whole chain, and what it found |
//! | [`ChainFault`], [`Problem`] | what is wrong, and where; [`Words`] has what people call a chain and its entries |
//!
//! This room knows nothing of what its entries are about.

mod chained;
mod entry;
mod head;
mod link;
mod problem;
mod table;
mod verify;
mod words;

pub(crate) use chained::Chained;
pub(crate) use entry::Entry;
pub use head::{GENESIS, Head, NotAHead};
pub(crate) use link::Link;
pub use problem::{ChainFault, Problem};
pub(crate) use table::{HEAD_ID, Row, Table, advance, head, lock, lock_row, page, require_head};
pub use verify::Verification;
pub(crate) use verify::{beyond, verify};
pub use words::Words;
