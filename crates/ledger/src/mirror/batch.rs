use super::{items, numbered};
use crate::SignedCheckpoint;

/// Most entries in a batch.
pub const MAX_BATCH: u64 = 1000;

/// What a log has grown by since another signed root: the newer one, and the entries between the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The newer root.
    pub checkpoint: SignedCheckpoint,
    /// The texts of the entries.
    pub entries: Vec<String>,
}

impl Batch {
    /// Where the batch is that follows the first entries, so many.
    #[must_use]
    pub fn path(size: u64) -> String {
        format!("batch/{}", numbered(size))
    }

    /// As it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        items::push(&mut bytes, self.checkpoint.text());
        self.entries.iter().for_each(|entry| items::push(&mut bytes, entry));
        bytes
    }

    /// Reads one. Whether it is signed, and by whom, remains to be seen.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut texts = items::read(bytes)?.into_iter();
        let checkpoint = SignedCheckpoint::parse(&texts.next()?).ok()?;
        Some(Self { checkpoint, entries: texts.collect() })
    }
}
