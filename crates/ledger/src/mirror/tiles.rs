use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

use sha2::{Digest, Sha256};
use tlog_tiles::{
    Tile, TileHashReader, TileReader,
    tlog::{self, HashReader},
};

use super::{Edge, HEIGHT, WIDTH, entries_path, items, path::tile_path};
use crate::{HASH_LENGTH, Hash, SignedCheckpoint, tree};

/// Objects of a mirror, by their paths, and the root that they are to belong to. What is computed from them asks first for those that are missing.
#[derive(Debug)]
pub struct Tiles {
    size: u64,
    root: Hash,
    objects: HashMap<String, Vec<u8>>,
}

/// Why something cannot be computed from tiles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TilesError {
    /// Objects are needed that are not there.
    #[error("objects are missing: {}", .0.iter().map(String::as_str).collect::<Vec<_>>().join(", "))]
    Missing(BTreeSet<String>),
    /// The objects are not those of the root.
    #[error("tiles do not belong to the signed root: one of them was changed")]
    Foreign,
    /// An object of entries is not what the tree was made of.
    #[error("{0} was changed: its entries are not those of the tree")]
    Entries(String),
    /// There is no such entry.
    #[error("the log has no such entry")]
    Size,
}

impl Tiles {
    /// Of the tree that a log has signed. None yet.
    #[must_use]
    pub fn of(checkpoint: &SignedCheckpoint) -> Self {
        Self { size: checkpoint.size(), root: checkpoint.root(), objects: HashMap::new() }
    }

    /// One more that was read.
    pub fn insert(&mut self, path: String, bytes: Vec<u8>) {
        self.objects.insert(path, bytes);
    }

    /// The right edge of the tree.
    ///
    /// # Errors
    ///
    /// [`TilesError`].
    pub fn edge(&self) -> Result<Edge, TilesError> {
        if self.size == 0 {
            return Ok(Edge::empty());
        }
        let rows = (0..).take_while(|level| self.size >> (HEIGHT * level) > 0);
        let levels: Vec<_> = rows
            .map(|level| {
                let all = self.size >> (HEIGHT * level);
                (all - all % WIDTH..all)
                    .map(|n| tlog::stored_hash_index(HEIGHT * level, n))
                    .collect::<Vec<_>>()
            })
            .collect();
        let wanted: Vec<_> = levels.iter().flatten().copied().collect();
        let mut hashes = self.hashes(&wanted)?.into_iter();
        let mut texts = self.entries((self.size - 1) / WIDTH)?;
        let digest = texts.last().map(|newest| Sha256::digest(newest).into()).unwrap_or_default();
        if self.size.is_multiple_of(WIDTH) {
            texts.clear();
        }
        let levels =
            levels.iter().map(|row| hashes.by_ref().take(row.len()).flat_map(|hash| hash.0).collect());
        Ok(Edge { size: self.size, digest, levels: levels.collect(), texts })
    }

    /// The proof that an entry, by its index from 0, is in the tree.
    ///
    /// # Errors
    ///
    /// [`TilesError`].
    pub fn prove_inclusion(&self, index: u64) -> Result<Vec<Hash>, TilesError> {
        if index >= self.size {
            return Err(TilesError::Size);
        }
        self.with(|reader| tlog::prove_record(self.size, index, reader))
            .map(|hashes| hashes.into_iter().map(|hash| hash.0).collect())
    }

    /// Whether the tree begins with an older one, over the first `size` entries: by a proof that is made and checked.
    ///
    /// # Errors
    ///
    /// [`TilesError`].
    pub fn begins_with(&self, size: u64, root: Hash) -> Result<bool, TilesError> {
        if size == 0 {
            return Ok(root == tlog::EMPTY_HASH.0);
        }
        if size > self.size {
            return Err(TilesError::Size);
        }
        let proof = self.with(|reader| tlog::prove_tree(self.size, size, reader))?;
        let proof: Vec<Hash> = proof.into_iter().map(|hash| hash.0).collect();
        Ok(tree::check_consistency((size, root), (self.size, self.root), &proof).is_ok())
    }

    /// The texts of the entries of a tile, by its number: those that the tree was made of.
    ///
    /// # Errors
    ///
    /// [`TilesError`].
    pub fn entries(&self, number: u64) -> Result<Vec<String>, TilesError> {
        let first = number * WIDTH;
        if first >= self.size {
            return Err(TilesError::Size);
        }
        let end = self.size.min(first + WIDTH);
        let places: Vec<_> = (first..end).map(|index| tlog::stored_hash_index(0, index)).collect();
        let leaves = self.hashes(&places)?;
        let path = entries_path(number, self.size);
        let Some(bytes) = self.objects.get(&path) else {
            return Err(TilesError::Missing(BTreeSet::from([path])));
        };
        let texts = items::read(bytes).filter(|texts| {
            texts.iter().map(|text| tlog::record_hash(text.as_bytes())).eq(leaves.iter().copied())
        });
        texts.ok_or(TilesError::Entries(path))
    }

    fn hashes(&self, wanted: &[u64]) -> Result<Vec<tlog::Hash>, TilesError> {
        self.with(|reader| reader.read_hashes(wanted))
    }

    fn with<T>(
        &self,
        call: impl FnOnce(&TileHashReader<'_>) -> Result<T, tlog::Error>,
    ) -> Result<T, TilesError> {
        let stored = Stored { objects: &self.objects, missing: RefCell::default() };
        let read = call(&TileHashReader::new(self.size, tlog::Hash(self.root), &stored));
        read.map_err(|_| {
            let missing = stored.missing.take();
            if missing.is_empty() { TilesError::Foreign } else { TilesError::Missing(missing) }
        })
    }
}

struct Stored<'t> {
    objects: &'t HashMap<String, Vec<u8>>,
    missing: RefCell<BTreeSet<String>>,
}

impl TileReader for Stored<'_> {
    fn height(&self) -> u8 {
        HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        let paths: Vec<_> = tiles.iter().map(tile_path).collect();
        let missing = paths.iter().filter(|path| !self.objects.contains_key(*path)).cloned();
        self.missing.borrow_mut().extend(missing);
        let read = tiles.iter().zip(&paths).map(|(tile, path)| {
            let bytes = self.objects.get(path)?;
            (bytes.len() == tile.width() as usize * HASH_LENGTH).then(|| bytes.clone())
        });
        read.collect::<Option<_>>().ok_or(tlog::Error::InvalidTile)
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}
