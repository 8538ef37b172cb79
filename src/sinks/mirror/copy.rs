//! The same log in another place.

use oubliette_ledger::mirror::{Batch, MAX_BATCH};

use super::{Mirror, sequence};
use crate::sinks::{
    SinkError,
    store::{Created, Store},
};

/// Batches that are copied before their tiles are written.
const TOGETHER: usize = 100;

/// A log cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is nothing to copy from.
    #[error("no sink can be copied from: see `oubliette-admin ledger status`")]
    NoSource,
    /// The place has entries that the source has not.
    #[error("there is another log, or one with more entries; nothing was copied there")]
    Other,
    /// One of the two fails.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl Mirror {
    /// Copies what was read of this log to another place, which may have its beginning. Nothing is written there that is not proven. Gives how many
    /// entries were copied.
    pub(in crate::sinks) async fn copy_to(&self, store: Store) -> Result<u64, CopyError> {
        let (origin, policy) = (self.origin.clone(), self.policy.clone());
        let mut copy = Self::new(self.name.clone(), store, origin, policy);
        copy.look().await?;
        let (begun, end) = (copy.edge.size(), self.edge.size());
        if begun > end || self.digest_at(sequence(begun)).await? != copy.edge.digest() {
            return Err(CopyError::Other);
        }
        loop {
            let is_whole = copy.edge.size() == end;
            if is_whole || copy.beyond.len() >= TOGETHER {
                while !copy.is_laid() {
                    copy.lay().await?;
                }
            }
            if is_whole {
                return Ok(end - begun);
            }
            copy.take_over(self.batch_from(copy.edge.size()).await?).await?;
        }
    }

    /// The entries after so many, up to the next signed root.
    async fn batch_from(&self, size: u64) -> Result<Batch, SinkError> {
        // It was mostly published as it is wanted. A copy of another sink may end within a batch of this one.
        for begin in (size.saturating_sub(MAX_BATCH)..=size).rev() {
            let path = Batch::path(begin);
            let Some(bytes) = self.store.get(&path).await? else { continue };
            let batch = Batch::read(&bytes).ok_or_else(|| SinkError::damaged(&*path, "cannot be read"))?;
            let known = usize::try_from(size - begin).unwrap_or(usize::MAX);
            let entries: Vec<_> = batch.entries.into_iter().skip(known).collect();
            return if entries.is_empty() {
                Err(SinkError::damaged(path, "ends too early"))
            } else {
                Ok(Batch { checkpoint: batch.checkpoint, entries })
            };
        }
        Err(SinkError::damaged(Batch::path(size), "is missing"))
    }

    /// Appends a batch of another sink, if it is what was signed.
    async fn take_over(&mut self, batch: Batch) -> Result<(), SinkError> {
        let path = Batch::path(self.edge.size());
        let bytes = batch.to_bytes();
        let (edge, beyond) = self.step(&path, batch)?;
        match self.store.create(&path, bytes).await? {
            Created::Same => {}
            Created::Other => return Err(SinkError::Overtaken),
        }
        self.edge = edge;
        self.beyond.push(beyond);
        Ok(())
    }
}
