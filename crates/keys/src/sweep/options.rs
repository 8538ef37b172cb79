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
