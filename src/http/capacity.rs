//! How many connections may be open, and which one gives way when there are more.
//!
//! One that waits for nothing but its client's next request costs its client nothing, so whoever wants to
//! keep others out opens thousands. So it is those that are closed first: whichever has waited for longest.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How long a connection that gives way may take for it, before another one is asked, too.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct Capacity {
    room: Arc<Semaphore>,
    wanted: Arc<Notify>,
}

impl Capacity {
    pub(super) fn new(connections: u32) -> Self {
        let room = Arc::new(Semaphore::new(usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { room, wanted: Arc::default() }
    }

    /// Waits until there is room for one more connection. `None`: never.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(room) = self.room.clone().try_acquire_owned() {
            return Some(room);
        }
        loop {
            self.make_room();
            if let Ok(taken) = tokio::time::timeout(PATIENCE, self.room.clone().acquire_owned()).await {
                return taken.ok();
            }
        }
    }

    /// Has the connection closed that gives way first; if there is none, the next that could.
    pub(super) fn make_room(&self) {
        self.wanted.notify_one();
    }

    /// Waits until it is the caller's turn to give way. Who waits for longest is the first.
    pub(super) async fn give_way(&self) {
        self.wanted.notified().await;
    }
}
