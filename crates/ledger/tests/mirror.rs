//! A log that is kept as objects: what is stored for each size is what others read back, and nothing else is accepted.
#![expect(clippy::unwrap_used, reason = "a test that fails")]

use std::collections::{BTreeMap, BTreeSet};

use oubliette_ledger::{
    Hash, LocalSigner, SignedCheckpoint,
    mirror::{Batch, Edge, Tiles, TilesError, full_of, narrowed},
    tree::{self, Stored},
};

type Store = BTreeMap<String, Vec<u8>>;

fn text(index: u64) -> String {
    format!("entry {index}\n")
}

fn checkpoint(size: u64, root: Hash) -> SignedCheckpoint {
    let key = LocalSigner::generate("example.com/log").unwrap();
    LocalSigner::parse(&key).unwrap().sign(size, root).unwrap()
}

/// Appends up to a size, and stores what is to be stored.
fn grow(edge: &mut Edge, store: &mut Store, size: u64) -> BTreeSet<String> {
    let mut objects = Vec::new();
    while edge.size() < size {
        objects.extend(edge.append(&text(edge.size())));
    }
    objects.extend(edge.partial());
    let paths = objects.iter().map(|object| object.path.clone()).collect();
    store.extend(objects.into_iter().map(|object| (object.path, object.bytes)));
    paths
}

/// Reads what is needed, and says what that was.
fn read<T>(
    store: &Store,
    checkpoint: &SignedCheckpoint,
    call: impl Fn(&Tiles) -> Result<T, TilesError>,
) -> (Result<T, TilesError>, BTreeSet<String>) {
    let (mut tiles, mut needed) = (Tiles::of(checkpoint), BTreeSet::new());
    loop {
        match call(&tiles) {
            Err(TilesError::Missing(paths)) if paths.iter().all(|path| store.contains_key(path)) => {
                for path in paths {
                    tiles.insert(path.clone(), store[&path].clone());
                    assert!(needed.insert(path), "asked for twice");
                }
            }
            computed => return (computed, needed),
        }
    }
}

#[test]
fn what_is_stored_is_read_back_and_proves_each_entry() {
    let (mut edge, mut store, mut stored) = (Edge::empty(), Store::new(), Stored::new());
    let mut before = 0;
    for size in [0, 1, 2, 3, 100, 255, 256, 257, 511, 512, 700, 1024, 65_535, 65_536, 65_537, 66_000] {
        for index in before..size {
            let hashes = tree::append(index, &text(index), &stored).unwrap();
            stored.extend((tree::first_stored(index)..).zip(hashes));
        }
        let grown = grow(&mut edge, &mut store, size);
        let tiles = tlog_tiles::Tile::new_tiles(8, before, size);
        let expected = tiles.iter().map(|tile| tile.path().replacen("tile/8/", "tile/", 1));
        let hashes: BTreeSet<_> = grown.iter().filter(|path| !path.contains("entries")).cloned().collect();
        // A partial tile that did not grow may be stored again.
        assert!(expected.clone().all(|path| hashes.contains(&path)), "{size}");
        before = size;
        assert_eq!(edge.root(), tree::root(size, &stored).unwrap(), "{size}");
        let checkpoint = checkpoint(size, edge.root());
        let (back, needed) = read(&store, &checkpoint, Tiles::edge);
        assert_eq!(back.unwrap(), edge, "{size}");
        // A partial tile is a full one, cut.
        for (path, bytes) in &store {
            if let Some(full) = full_of(path).and_then(|full| store.get(full)) {
                assert_eq!(narrowed(path, full).as_ref(), Some(bytes), "{path}");
            }
        }
        assert!(needed.len() <= 6, "{needed:?}");
        for index in [0, size / 3, size.saturating_sub(1)].into_iter().filter(|index| *index < size) {
            let proof = read(&store, &checkpoint, |tiles| tiles.prove_inclusion(index)).0.unwrap();
            tree::check_inclusion(&text(index), index, &proof, (size, edge.root())).unwrap();
            let entries = read(&store, &checkpoint, |tiles| tiles.entries(index / 256)).0.unwrap();
            assert_eq!(entries[usize::try_from(index % 256).unwrap()], text(index));
        }
        assert_eq!(read(&store, &checkpoint, |tiles| tiles.prove_inclusion(size)).0, Err(TilesError::Size));
        for older in [0, 1, size / 2, size].into_iter().filter(|older| *older <= size) {
            let root = tree::root(older, &stored).unwrap();
            assert_eq!(read(&store, &checkpoint, |tiles| tiles.begins_with(older, root)).0, Ok(true));
            assert_eq!(read(&store, &checkpoint, |tiles| tiles.begins_with(older, [7; 32])).0, Ok(false));
        }
        assert_eq!(
            read(&store, &checkpoint, |tiles| tiles.begins_with(size + 1, [7; 32])).0,
            Err(TilesError::Size)
        );
    }
}

#[test]
fn an_object_that_was_changed_is_refused() {
    for size in [1, 255, 256, 300, 512, 65_536] {
        let (mut edge, mut store) = (Edge::empty(), Store::new());
        grow(&mut edge, &mut store, size);
        let checkpoint = checkpoint(size, edge.root());
        let (_, needed) = read(&store, &checkpoint, Tiles::edge);
        for path in needed {
            let sound = store[&path].clone();
            for place in [0, sound.len() / 2, sound.len() - 1] {
                let mut changed = sound.clone();
                changed[place] ^= 1;
                store.insert(path.clone(), changed);
                let refused = read(&store, &checkpoint, Tiles::edge).0;
                assert!(refused.is_err(), "{size} {path} {place}");
                store.insert(path.clone(), sound[..place].to_vec());
                assert!(read(&store, &checkpoint, Tiles::edge).0.is_err(), "{size} {path} {place}");
            }
            store.insert(path, sound);
        }
        assert_eq!(read(&store, &checkpoint, Tiles::edge).0, Ok(edge));
    }
}

#[test]
fn a_batch_is_read_as_it_was_written() {
    let entries = vec![text(0), text(1)];
    let batch = Batch { checkpoint: checkpoint(2, [1; 32]), entries };
    let bytes = batch.to_bytes();
    assert_eq!(Batch::read(&bytes), Some(batch.clone()));
    for cut in 0..bytes.len() {
        assert_ne!(Batch::read(&bytes[..cut]), Some(batch.clone()), "{cut}");
    }
    assert_eq!(Batch::path(1_234_067), "batch/x001/x234/067");
}
