use std::{num::NonZeroU32, sync::Arc, time::Duration};

use backon::BackoffBuilder;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{SweepOptions, Tally};
use crate::BackendError;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// How a run calls key backends: so many at once, so many a second, and again for a while if that may help.
#[derive(Debug)]
pub struct Pace {
    turns: Semaphore,
    rate: Option<DefaultDirectRateLimiter>,
    patience: Duration,
    stop: CancellationToken,
    tally: Arc<Tally>,
}

/// Why a call did not end well.
#[derive(Debug)]
pub enum Refusal {
    /// The run is to end; nothing is known about the key.
    Stopped,
    /// The backend failed, and went on failing.
    Backend(BackendError),
}

impl Pace {
    /// The pace that `options` ask for, until `stop`.
    #[must_use]
    pub fn new(options: &SweepOptions, stop: &CancellationToken, tally: Arc<Tally>) -> Self {
        Self {
            turns: Semaphore::new(options.concurrency.get().min(Semaphore::MAX_PERMITS)),
            rate: options.max_rate.map(limiter),
            patience: options.patience,
            stop: stop.child_token(),
            tally,
        }
    }

    /// Lets no further call begin: each would fail.
    pub fn abort(&self) {
        self.stop.cancel();
    }

    /// Calls, when it is time, and again after a failure that may pass.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn call<T, F>(&self, call: impl Fn() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, BackendError>>,
    {
        let give_up_at = Instant::now() + self.patience;
        let mut delays = backon::ExponentialBuilder::new()
            .with_min_delay(FIRST_DELAY)
            .with_max_delay(LONGEST_DELAY)
            .with_jitter()
            .without_max_times()
            .build();
        loop {
            let error = match self.try_once(&call).await? {
                Ok(answer) => {
                    self.tally.called();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let delay = delays.next().unwrap_or(LONGEST_DELAY);
            if !error.class.is_retryable() || Instant::now() + delay > give_up_at {
                return Err(Refusal::Backend(error));
            }
            self.tally.retried();
            tokio::select! {
                () = self.stop.cancelled() => return Err(Refusal::Stopped),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// Whether no further call begins.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    async fn try_once<T, F>(&self, call: impl Fn() -> F) -> Result<Result<T, BackendError>, Refusal>
    where
        F: Future<Output = Result<T, BackendError>>,
    {
        let turn = async {
            let turn = self.turns.acquire().await;
            if let Some(rate) = &self.rate {
                rate.until_ready().await;
            }
            turn
        };
        let _turn = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(Refusal::Stopped),
            turn = turn => turn,
        };
        Ok(call().await)
    }
}

/// Evenly spread, so that the servers' share of the quota is not taken in bursts.
fn limiter(per_second: NonZeroU32) -> DefaultDirectRateLimiter {
    let burst = NonZeroU32::MIN.max(NonZeroU32::new(per_second.get() / 20).unwrap_or(NonZeroU32::MIN));
    RateLimiter::direct(Quota::per_second(per_second).allow_burst(burst))
}
