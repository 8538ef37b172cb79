//! The log as it is kept outside the database: objects in a store that can create an object only if it is not there.
//!
//! | object | what it is |
//! | --- | --- |
//! | `batch/N` | what the log has grown by after its first `N` entries: a signed checkpoint and these entries. Nobody can create a second one, so that the log has one history |
//! | `tile/L/N`, `tile/entries/N` | the same for reading, derived from the batches: hashes and entries, 256 in an object (c2sp.org/tlog-tiles) |
//! | `checkpoint` | the newest signed root up to which the tiles are there; batches may have a newer one |
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`Batch`] | an object `batch/N` |
//! | [`Edge`] | the right edge of the tree: what it takes to append to it |
//! | [`Tiles`] | tiles that were read, and proven to belong to a root |
//! | [`full_of()`], [`narrowed()`] | a partial tile by the full one |
//! | [`Object`] | what is to be stored |

mod batch;
mod edge;
mod items;
mod narrow;
mod path;
mod tiles;

pub use batch::{Batch, MAX_BATCH};
pub use edge::Edge;
pub use narrow::{full_of, narrowed};
use path::{entries_path, numbered};
pub use tiles::{Tiles, TilesError};

/// The object that holds the newest signed root.
pub const CHECKPOINT: &str = "checkpoint";

/// The entries in an object of them, and the hashes in an object of those.
pub const WIDTH: u64 = 256;

/// The height of a tile in the tree: 2⁸ hashes are side by side in it.
const HEIGHT: u8 = 8;

/// An object that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Where.
    pub path: String,
    /// What.
    pub bytes: Vec<u8>,
}
