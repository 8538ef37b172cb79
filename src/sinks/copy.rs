use super::{SinkError, mirror::Mirror, store::Store};

/// Batches that are copied before their tiles are written.
const TOGETHER: usize = 100;

/// A log cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is nothing to copy from.
    #[error("no sink of that name is good: see `oubliette-admin ledger status`")]
    NoSource,
    /// The place has entries that the source has not.
    #[error("the place has another log, or a newer one: nothing was copied there")]
    Other,
    /// One of the two fails.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl Mirror {
    /// Copies what was read of this log to another place, which may have its beginning. Each batch is verified there. Gives how many
    /// entries were copied.
    pub(super) async fn copy_to(&self, store: Store) -> Result<u64, CopyError> {
        let mut copy = self.elsewhere(store);
        copy.look().await?;
        let (begun, end) = (copy.head(), self.head());
        if begun.sequence > end.sequence || self.digest_at(begun.sequence).await? != begun.digest {
            return Err(CopyError::Other);
        }
        loop {
            let at = copy.head().sequence;
            let is_whole = at >= end.sequence;
            if is_whole || copy.unlaid() >= TOGETHER {
                while !copy.is_laid() {
                    copy.lay().await?;
                }
            }
            if is_whole {
                return Ok(at.abs_diff(begun.sequence));
            }
            let batch = self.batch_after(at.unsigned_abs()).await?;
            let batch = batch.ok_or_else(|| SinkError::damaged(format!("batch/{at}"), "is missing"))?;
            copy.take_over(batch).await?;
        }
    }
}
