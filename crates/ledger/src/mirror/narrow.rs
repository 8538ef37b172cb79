use super::{WIDTH, items};
use crate::HASH_LENGTH;

/// The object that holds all of a partial one and more: a mirror may remove partial objects whose tile is full (c2sp.org/tlog-tiles).
#[must_use]
pub fn full_of(partial: &str) -> Option<&str> {
    partial.split_once(".p/").map(|(full, _)| full)
}

/// What a partial object holds, by the full one.
#[must_use]
pub fn narrowed(partial: &str, full: &[u8]) -> Option<Vec<u8>> {
    let width: usize = partial.split_once(".p/")?.1.parse().ok()?;
    if width as u64 >= WIDTH {
        return None;
    }
    if !partial.starts_with("tile/entries/") {
        return full.get(..width * HASH_LENGTH).map(<[u8]>::to_vec);
    }
    let texts = items::read(full)?;
    let mut bytes = Vec::new();
    texts.get(..width)?.iter().for_each(|text| items::push(&mut bytes, text));
    Some(bytes)
}
