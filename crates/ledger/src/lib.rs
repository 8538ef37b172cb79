//! The erasure ledger as a transparency log: what a stranger needs to check that somebody was forgotten, and no more.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`Entry`], [`Form`] | what an entry says: a few lines of text, which are a leaf of the tree; how they begin |
//! | [`tree`] | the Merkle tree over all entries (RFC 6962): its root, and proofs |
//! | [`SignedCheckpoint`] | a root that the log has signed (c2sp.org/tlog-checkpoint) |
//! | [`LocalSigner`] | who signs: a key in this process |
//! | [`PublicKey`] | the same for a key that signs elsewhere
//! | [`Policy`] | which logs are trusted (c2sp.org/tlog-policy) |
//! | [`mirror`] | the log outside the database: objects in a store (c2sp.org/tlog-tiles)
//! | [`Receipt`] | an entry, its place in the tree, and a signed root (c2sp.org/tlog-proof) |
//!
//! Nothing here reads a database, a network or a clock.

mod checkpoint;
mod destroyed_key;
mod entry;
mod form;
pub mod mirror;
mod policy;
mod public_key;
mod receipt;
mod rotation;
mod signer;
pub mod tree;

pub use checkpoint::{CheckpointError, SignedCheckpoint};
pub use destroyed_key::DestroyedKey;
pub use entry::{Entry, EntryError, Erasure, Event};
pub use form::Form;
pub use policy::{Policy, PolicyError};
pub use public_key::PublicKey;
pub use receipt::{Proven, Receipt, ReceiptError};
pub use rotation::Rotation;
pub use signer::{LocalSigner, SignerError};

/// Length of a hash of the tree, in bytes: SHA-256.
pub const HASH_LENGTH: usize = 32;

/// A hash of the tree, or the root of it.
pub type Hash = [u8; HASH_LENGTH];
