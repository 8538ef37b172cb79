//! The erasure ledger: who was forgotten, when, by whom, and which data keys were destroyed; and which access tokens were revoked. A hash
//! chain, which all servers share.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`Erasure`] | the record of one erasure; content: what its digest is taken over |
//! | [`find()`], [`page()`], `append`, `append_revocations` | entries by subject and by place; more of them |
//! | [`version()`], [`upgrade()`] | in which version entries are written |
//! | [`head()`], [`end()`], [`verify()`] | where the ledger ends; the walk over all of it |
//! | [`after()`], [`News`] | what others learn from it |
//! | `announce` | tells them to look |
//! | [`receipt()`] | an entry's receipt for strangers: its place in the tree over all of them, signed |
//! | [`open_signer()`], [`policy()`] | the key that signs, and which keys are trusted |
//! | [`texts_after()`], `bring_forward` | entries on their way out, and in again after the ledger went back |
//! | [`publication`] | who publishes the ledger, and how far it was |
//! | [`rollbacks`] | a ledger that went back |
//!
//! This room knows nothing of users and GraphQL. Whether data of a forgotten subject is there again, the users know.

mod announce;
mod append;
mod content;
mod erasure;
mod follow;
mod fork;
mod forward;
mod key_file;
mod page;
pub mod publication;
mod receipt;
mod revocation;
pub mod rollbacks;
mod rotation;
mod signer;
mod verify;
mod version;

pub use announce::ERASURES_CHANNEL;
pub(crate) use announce::announce;
pub(crate) use append::AppendError;
pub(crate) use erasure::append;
pub use erasure::{Erasure, find};
pub use follow::{Erased, News, after};
pub use fork::adopt_fork;
pub(crate) use forward::bring_forward;
pub use forward::{ForwardError, Forwarded, Told, digest_at, has_moved, texts_after, told};
pub use key_file::KeyFileError;
pub use page::{Filter, page};
pub use receipt::{NoReceipt, receipt};
pub(crate) use revocation::append_revocations;
pub use rotation::{UndoneRotation, record_rotation, undone_rotations};
pub use signer::{
    NotSigned, OpenSignerError, Signer, create_signer, open_or_create_signer, open_signer, policy, public_key,
};
pub use verify::{end, head, verify, words};
pub use version::{EntryVersion, upgrade, version};
