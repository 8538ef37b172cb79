//! The erasure ledger: who was forgotten, when, by whom, and which wrapped keys were destroyed. A hash chain, which all servers
//! share.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`Erasure`] | the record of one erasure; content: what its digest is taken over |
//! | [`find()`], [`page()`], `append` | entries by subject and by place; one more of them |
//! | [`head()`], [`end()`], [`verify()`] | where the ledger ends; the walk over all of it |
//! | [`after()`], [`News`] | what others learn from it |
//! | `announce` | tells them to look |
//! | [`receipt()`] | an entry's receipt for strangers: its place in the tree over all of them, signed |
//! | [`rollbacks`] | a ledger that went back |
//!
//! This room knows nothing of users and GraphQL. Whether data of a forgotten subject is there again, the users know.

mod announce;
mod content;
mod erasure;
mod follow;
mod page;
mod receipt;
pub mod rollbacks;
mod verify;

pub use announce::ERASURES_CHANNEL;
pub(crate) use announce::announce;
pub(crate) use erasure::append;
pub use erasure::{Erasure, find};
pub use follow::{Erased, News, after};
pub use page::{Filter, page};
pub use receipt::{NoReceipt, receipt};
pub use verify::{end, head, verify};
