//! How many requests of a connection are in flight, and a way to wait for a change of that.

use std::time::Duration;

use tokio::sync::watch;

/// The count.
#[derive(Debug, Default)]
pub(super) struct Activity(watch::Sender<usize>);

/// A request in flight, until dropped.
#[derive(Debug)]
pub(super) struct InFlight(watch::Sender<usize>);

/// The task that waits.
#[derive(Debug)]
pub(super) struct Watcher(watch::Receiver<usize>);

impl Activity {
    pub(super) fn begin(&self) -> InFlight {
        self.0.send_modify(|count| *count += 1);
        InFlight(self.0.clone())
    }

    pub(super) fn watch(&self) -> Watcher {
        Watcher(self.0.subscribe())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

// An error below says that the connection is gone, and the watcher goes with it.
impl Watcher {
    /// Waits until a request has begun or ended since the last look.
    pub(super) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until no request is in flight.
    pub(super) async fn idle(&mut self) {
        if self.0.wait_for(|count| *count == 0).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until no request has been in flight for so long.
    pub(super) async fn idle_for(&mut self, time: Duration) {
        loop {
            self.idle().await;
            if tokio::time::timeout(time, self.changed()).await.is_err() {
                return;
            }
        }
    }
}
