//! The Merkle tree over all entries: RFC 6962, section 2.1. Leaf `n` is the text of the entry with sequence `n + 1`.
//!
//! Hashes of whole subtrees are stored once, and never change: those of entry `n` begin at [`first_stored`]`(n)`, two of them on average. Everything else is
//! computed from a few of these. Who stores them elsewhere asks first which ones are needed: the error says which.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

use tlog_tiles::tlog;

use crate::Hash;

/// Stored hashes, by their places.
pub type Stored = HashMap<u64, Hash>;

/// Why a computation could not be made, or a proof proves nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Hashes are needed that are not there.
    #[error("{} stored hashes of the tree are missing", .0.len())]
    Missing(BTreeSet<u64>),
    /// The proof is for something else.
    #[error("the proof does not lead to the root")]
    Proof,
    /// There is no such entry, or no such tree.
    #[error("the tree has no such entry")]
    Size,
}

/// The place of the first hash that is stored of an entry, by its index, from 0; also how many are stored of all before it.
#[must_use]
pub fn first_stored(index: u64) -> u64 {
    tlog::stored_hash_index(0, index)
}

/// The hashes to be stored of an entry, from [`first_stored`] on. Needs hashes of entries before it.
///
/// # Errors
///
/// [`TreeError::Missing`].
pub fn append(index: u64, text: &str, stored: &Stored) -> Result<Vec<Hash>, TreeError> {
    with(stored, |reader| tlog::stored_hashes(index, text.as_bytes(), reader)).map(bare)
}

/// The root of the tree over the first entries, so many.
///
/// # Errors
///
/// [`TreeError::Missing`].
pub fn root(size: u64, stored: &Stored) -> Result<Hash, TreeError> {
    with(stored, |reader| tlog::tree_hash(size, reader)).map(|root| root.0)
}

/// The proof that an entry, by its index, is in the tree over the first `size` entries.
///
/// # Errors
///
/// [`TreeError::Size`], [`TreeError::Missing`].
pub fn prove_inclusion(index: u64, size: u64, stored: &Stored) -> Result<Vec<Hash>, TreeError> {
    with(stored, |reader| tlog::prove_record(size, index, reader)).map(bare)
}

/// The proof that the tree over the first `size` entries begins with that over the first `before`.
///
/// # Errors
///
/// [`TreeError::Size`], [`TreeError::Missing`].
pub fn prove_consistency(before: u64, size: u64, stored: &Stored) -> Result<Vec<Hash>, TreeError> {
    with(stored, |reader| tlog::prove_tree(size, before, reader)).map(bare)
}

/// Checks that an entry is in a tree.
///
/// # Errors
///
/// [`TreeError::Proof`], [`TreeError::Size`].
pub fn check_inclusion(
    text: &str,
    index: u64,
    proof: &[Hash],
    (size, root): (u64, Hash),
) -> Result<(), TreeError> {
    let leaf = tlog::record_hash(text.as_bytes());
    tlog::check_record(&dressed(proof), size, tlog::Hash(root), index, leaf).map_err(|error| of_proof(&error))
}

/// Checks that a tree begins with another one.
///
/// # Errors
///
/// [`TreeError::Proof`], [`TreeError::Size`].
pub fn check_consistency(
    (before, root_before): (u64, Hash),
    (size, root): (u64, Hash),
    proof: &[Hash],
) -> Result<(), TreeError> {
    tlog::check_tree(&dressed(proof), size, tlog::Hash(root), before, tlog::Hash(root_before))
        .map_err(|error| of_proof(&error))
}

/// Calls with what is stored, and says what was missing.
fn with<T>(
    stored: &Stored,
    call: impl FnOnce(&Reader<'_>) -> Result<T, tlog::Error>,
) -> Result<T, TreeError> {
    let reader = Reader { stored, missing: RefCell::default() };
    call(&reader).map_err(|error| {
        let missing = reader.missing.take();
        if missing.is_empty() { of_proof(&error) } else { TreeError::Missing(missing) }
    })
}

struct Reader<'s> {
    stored: &'s Stored,
    missing: RefCell<BTreeSet<u64>>,
}

impl tlog::HashReader for Reader<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let missing = indexes.iter().filter(|index| !self.stored.contains_key(index));
        self.missing.borrow_mut().extend(missing);
        let found =
            indexes.iter().filter_map(|index| self.stored.get(index).copied().map(tlog::Hash)).collect();
        if self.missing.borrow().is_empty() { Ok(found) } else { Err(tlog::Error::IndexesNotInTree) }
    }
}

fn of_proof(error: &tlog::Error) -> TreeError {
    match error {
        tlog::Error::InvalidInput(_) => TreeError::Size,
        _ => TreeError::Proof,
    }
}

fn bare(hashes: Vec<tlog::Hash>) -> Vec<Hash> {
    hashes.into_iter().map(|hash| hash.0).collect()
}

fn dressed(hashes: &[Hash]) -> Vec<tlog::Hash> {
    hashes.iter().copied().map(tlog::Hash).collect()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// RFC 6962, section 2.1, word for word.
    fn mth(leaves: &[String]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => Sha256::new().chain_update([0]).chain_update(leaf).finalize().into(),
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(k);
                Sha256::new()
                    .chain_update([1])
                    .chain_update(mth(left))
                    .chain_update(mth(right))
                    .finalize()
                    .into()
            }
        }
    }

    fn grown(size: u64) -> (Vec<String>, Stored) {
        let leaves: Vec<_> = (0..size).map(|index| format!("entry {index}\n")).collect();
        let mut stored = Stored::new();
        for (index, leaf) in (0..).zip(&leaves) {
            assert_eq!(first_stored(index), stored.len() as u64);
            let hashes = append(index, leaf, &stored).unwrap();
            stored.extend((first_stored(index)..).zip(hashes));
        }
        (leaves, stored)
    }

    #[test]
    fn roots_are_those_of_the_rfc_and_proofs_lead_to_them() {
        const SIZE: u64 = 70;
        let (leaves, stored) = grown(SIZE);
        for size in 0..=SIZE {
            let all = &leaves[..usize::try_from(size).unwrap()];
            let tree = (size, root(size, &stored).unwrap());
            assert_eq!(tree.1, mth(all), "{size}");
            for (index, leaf) in (0..).zip(all) {
                let proof = prove_inclusion(index, size, &stored).unwrap();
                assert!(proof.len() <= 7);
                assert_eq!(check_inclusion(leaf, index, &proof, tree), Ok(()));
                assert_eq!(check_inclusion("entry\n", index, &proof, tree), Err(TreeError::Proof));
                let elsewhere = (index + 1) % size;
                if elsewhere != index {
                    assert!(check_inclusion(leaf, elsewhere, &proof, tree).is_err());
                }
            }
            for before in 1..=size {
                let earlier = (before, root(before, &stored).unwrap());
                let proof = prove_consistency(before, size, &stored).unwrap();
                assert_eq!(check_consistency(earlier, tree, &proof), Ok(()));
                let other = (before, [7; 32]);
                assert_eq!(check_consistency(other, tree, &proof), Err(TreeError::Proof));
            }
        }
        assert_eq!(prove_inclusion(SIZE, SIZE, &stored), Err(TreeError::Size));
        assert_eq!(prove_consistency(SIZE + 1, SIZE, &stored), Err(TreeError::Size));
    }

    #[test]
    fn what_is_missing_is_said_and_is_enough() {
        let (leaves, all) = grown(1000);
        let asked = |call: &dyn Fn(&Stored) -> Result<(), TreeError>| {
            let Err(TreeError::Missing(missing)) = call(&Stored::new()) else {
                panic!("nothing was missing")
            };
            assert!(missing.len() <= 20, "{missing:?}");
            let enough = missing.iter().map(|index| (*index, all[index])).collect();
            call(&enough).unwrap();
        };
        asked(&|stored| root(999, stored).map(drop));
        asked(&|stored| append(999, &leaves[999], stored).map(drop));
        asked(&|stored| prove_inclusion(123, 999, stored).map(drop));
        asked(&|stored| prove_consistency(123, 999, stored).map(drop));
    }
}
