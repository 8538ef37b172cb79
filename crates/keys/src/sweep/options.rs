use std::{
    fmt,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{Failure, Tally};
use crate::entity::key_operation;

/// How fast a run is, and how far it goes.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// Data keys in one batch: one statement to the database.
    pub batch_size: NonZeroU32,
    /// Most calls to key backends at the same time.
    pub concurrency: NonZeroUsize,
    /// Most calls a second.
    pub max_rate: Option<NonZeroU32>,
    /// Most data keys.
    pub limit: Option<NonZeroU64>,
    /// How long a call is tried again that fails for a reason that may pass.
    pub patience: Duration,
}

/// How somebody outside watches a run, and ends it.
#[derive(Clone)]
pub struct Controls {
    /// Ends the run: what is at the backend is awaited and stored, nothing new begins.
    pub stop: CancellationToken,
    /// What was done so far.
    pub tally: Arc<Tally>,
    /// Is told each failure.
    pub on_failure: Arc<OnFailure>,
    /// Is told, again and again, which other runs are waited for: what is left is claimed by them.
    pub on_wait: Arc<OnWait>,
}

/// See [`Controls::on_failure`].
pub type OnFailure = dyn Fn(&Failure) + Send + Sync;

/// See [`Controls::on_wait`].
pub type OnWait = dyn Fn(&[key_operation::Model]) + Send + Sync;

impl fmt::Debug for Controls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controls").field("tally", &self.tally).finish_non_exhaustive()
    }
}

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
