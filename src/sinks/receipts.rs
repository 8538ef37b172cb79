use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use oubliette_ledger::Receipt;
use tokio::time::{sleep, timeout};

use super::{SinkError, mirror::Mirror};
use crate::{causes, ledger::Erasure};

/// How long a sink may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often a receipt is looked for that is waited for.
const PAUSE: Duration = Duration::from_millis(50);

/// Receipts for strangers, by what the sinks have. Empty until they are open. All clones share it.
#[derive(Clone, Debug, Default)]
pub struct Receipts(Arc<OnceLock<Vec<Mirror>>>);

impl Receipts {
    /// From these sinks, of which nothing was read yet.
    pub(super) fn fill(&self, sinks: Vec<Mirror>) {
        // Once: a server opens its sinks once.
        let _ = self.0.set(sinks);
    }

    /// Whether there is any sink.
    #[must_use]
    pub fn are_published(&self) -> bool {
        self.0.get().is_some_and(|sinks| !sinks.is_empty())
    }

    /// The receipt of an entry, by the first sink that has it and answers. `None` if it is in no sink yet.
    ///
    /// # Errors
    ///
    /// [`SinkError`], if no sink has it, and one of them failed.
    pub async fn of(&self, erasure: &Erasure) -> Result<Option<Receipt>, SinkError> {
        let sinks = self.0.get().into_iter().flatten();
        let mut asked: FuturesUnordered<_> =
            sinks.map(|sink| timeout(TIMEOUT, sink.published_receipt(erasure))).collect();
        let mut failed = None;
        while let Some(answer) = asked.next().await {
            match answer.unwrap_or(Err(SinkError::Slow(TIMEOUT))) {
                Ok(Some(receipt)) => return Ok(Some(receipt)),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// The same, waiting for it. `None` if it did not come in that time.
    pub async fn wait_for(&self, erasure: &Erasure, patience: Duration) -> Option<Receipt> {
        let coming = async {
            loop {
                match self.of(erasure).await {
                    Ok(Some(receipt)) => return receipt,
                    Ok(None) => {}
                    Err(error) => tracing::debug!("a receipt is waited for: {}", causes::line(&error)),
                }
                sleep(PAUSE).await;
            }
        };
        timeout(patience, coming).await.ok()
    }
}
