use sha2::{Digest, Sha256};
use tlog_tiles::{Tile, tlog};

use super::{
    HEIGHT, Object, WIDTH, entries_path, items,
    path::{tile, tile_path},
};
use crate::{HASH_LENGTH, Hash};

/// The right edge of a log: its newest tiles, as far as they are not full, and where its chain ends. What it takes to append to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub(super) size: u64,
    /// SHA-256 of the text of the newest entry; zeros if there is none.
    pub(super) digest: Hash,
    /// Of each level, the hashes of the tile that is not full, one after another.
    pub(super) levels: Vec<Vec<u8>>,
    /// The texts of the entries of the tile that is not full.
    pub(super) texts: Vec<String>,
}

impl Edge {
    /// That of a log without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self { size: 0, digest: Hash::default(), levels: Vec::new(), texts: Vec::new() }
    }

    /// How many entries the log has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// SHA-256 of the text of the newest entry; zeros if there is none.
    #[must_use]
    pub fn digest(&self) -> Hash {
        self.digest
    }

    /// The longest text that can be appended, in bytes.
    #[must_use]
    pub const fn max_length() -> usize {
        items::MAX_LENGTH
    }

    /// The root over all entries.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut root: Option<tlog::Hash> = None;
        for level in &self.levels {
            let mut end = level.len();
            // Each level is a row of perfect trees, the smallest last.
            while end > 0 {
                let hashes = end / HASH_LENGTH;
                let width = 1 << hashes.trailing_zeros();
                let start = end - width * HASH_LENGTH;
                let left = Tile::subtree_hash(&level[start..end]);
                root = Some(root.map_or(left, |right| tlog::node_hash(left, right)));
                end = start;
            }
        }
        root.unwrap_or(tlog::EMPTY_HASH).0
    }

    /// Appends an entry. Gives the objects that are complete by it.
    pub fn append(&mut self, text: &str) -> Vec<Object> {
        let mut full = Vec::new();
        self.digest = Sha256::digest(text).into();
        self.texts.push(text.to_owned());
        self.size += 1;
        let mut hash = tlog::record_hash(text.as_bytes());
        for level in 0.. {
            let place = usize::from(level);
            if self.levels.len() <= place {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[place];
            hashes.extend(hash.0);
            if hashes.len() < HASH_LENGTH << HEIGHT {
                break;
            }
            let bytes = std::mem::take(hashes);
            hash = Tile::subtree_hash(&bytes);
            let number = (self.size >> (HEIGHT * level)) / WIDTH - 1;
            full.push(Object { path: tile_path(&tile(level, number, self.size)), bytes });
        }
        if self.size.is_multiple_of(WIDTH) {
            let object = self.entries(self.size / WIDTH - 1);
            full.push(object);
            self.texts.clear();
        }
        full
    }

    /// The objects that are not full, as they are now.
    #[must_use]
    pub fn partial(&self) -> Vec<Object> {
        let rows = (0..).zip(&self.levels).filter(|(_, hashes)| !hashes.is_empty());
        let mut objects: Vec<_> = rows
            .map(|(level, hashes)| {
                let number = (self.size >> (HEIGHT * level)) / WIDTH;
                Object { path: tile_path(&tile(level, number, self.size)), bytes: hashes.clone() }
            })
            .collect();
        if !self.texts.is_empty() {
            objects.push(self.entries(self.size / WIDTH));
        }
        objects
    }

    fn entries(&self, number: u64) -> Object {
        let mut bytes = Vec::new();
        self.texts.iter().for_each(|text| items::push(&mut bytes, text));
        Object { path: entries_path(number, self.size), bytes }
    }
}
