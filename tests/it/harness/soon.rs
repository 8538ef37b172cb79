use std::time::{Duration, Instant};

/// Longest wait for what should take a second or so. Generous, for busy machines.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until something is so. Gives how long that took.
pub(crate) async fn soon(what: &str, is_so: impl AsyncFn() -> bool) -> Duration {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    started.elapsed()
}
