//! How a program goes through data keys that has no settings for it and nobody who watches.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::sweep::{Controls, Failure, SweepOptions, Tally};

impl Default for SweepOptions {
    /// All of them, as fast as the key backends answer.
    fn default() -> Self {
        Self {
            batch_size: const { NonZeroU32::new(1000).unwrap() },
            concurrency: const { NonZeroUsize::new(64).unwrap() },
            max_rate: None,
            limit: None,
            patience: Duration::from_mins(2),
        }
    }
}

impl Default for Controls {
    /// Nobody ends the run, and nobody is told of failures but in the report.
    fn default() -> Self {
        Self {
            stop: CancellationToken::new(),
            tally: Arc::new(Tally::default()),
            on_failure: Arc::new(|_| {}),
            on_wait: Arc::new(|_| {}),
        }
    }
}

impl Controls {
    /// Nobody ends the run, and failures go to the log.
    #[must_use]
    pub fn logging() -> Self {
        let on_failure = Arc::new(|failure: &Failure| {
            tracing::error!("data key {} stays as it was: {}", failure.id, failure.cause);
        });
        Self { on_failure, ..Self::default() }
    }
}
