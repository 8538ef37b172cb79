//! How many connections may be open, and which one gives way when there are more.
//!
//! One that waits for nothing but its client's next request costs its client nothing, so an attacker who wants to
//! keep others out opens thousands. So it is those that are closed first: the one that has waited for longest first.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How long a connection that gives way may take for it, before another one is asked, too.
const TIMEOUT: Duration = Duration::from_secs(1);

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
            if let Ok(taken) = tokio::time::timeout(TIMEOUT, self.room.clone().acquire_owned()).await {
                self.withdraw();
                return taken.ok();
            }
        }
    }

    /// For room that is wanted for as long as `time`: has the connection closed that gives way first; if there
    /// is none, the next that could.
    pub(super) async fn make_room_for(&self, time: Duration) {
        self.make_room();
        tokio::time::sleep(time).await;
        self.withdraw();
    }

    fn make_room(&self) {
        self.wanted.notify_one();
    }

    /// No room is wanted any more. The next connection would be closed otherwise, even before a first request
    /// could be read.
    fn withdraw(&self) {
        // Takes the notification that nobody has taken.
        pin!(self.wanted.notified()).enable();
    }

    /// Waits until it is the caller's turn to give way. Who waits for longest is the first.
    pub(super) async fn give_way(&self) {
        self.wanted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(10);

    /// Whether the next connection that waits would be closed.
    async fn is_wanted(capacity: &Capacity) -> bool {
        tokio::time::timeout(SHORT, capacity.give_way()).await.is_ok()
    }

    #[tokio::test]
    async fn who_comes_after_room_was_found_does_not_give_way() {
        let capacity = Capacity::new(1);
        let first = capacity.take().await.unwrap();
        let second = tokio::spawn({
            let capacity = capacity.clone();
            async move { capacity.take().await }
        });
        tokio::time::sleep(TIMEOUT * 3 / 2).await;
        drop(first);
        let _taken = second.await.unwrap().unwrap();
        assert!(!is_wanted(&capacity).await);
    }

    #[tokio::test]
    async fn who_waits_while_room_is_wanted_gives_way_and_no_other() {
        let capacity = Capacity::new(1);
        let wanting = tokio::spawn({
            let capacity = capacity.clone();
            async move { capacity.make_room_for(TIMEOUT).await }
        });
        tokio::time::sleep(TIMEOUT / 2).await;
        assert!(is_wanted(&capacity).await);
        assert!(!is_wanted(&capacity).await);
        wanting.await.unwrap();
        capacity.make_room_for(TIMEOUT).await;
        assert!(!is_wanted(&capacity).await);
    }

    #[tokio::test]
    async fn who_waits_for_longest_gives_way_first() {
        let capacity = Capacity::new(1);
        let mut longest = pin!(capacity.give_way());
        assert!(tokio::time::timeout(SHORT, longest.as_mut()).await.is_err());
        let mut next = pin!(capacity.give_way());
        assert!(tokio::time::timeout(SHORT, next.as_mut()).await.is_err());
        capacity.make_room_for(TIMEOUT).await;
        longest.await;
        assert!(tokio::time::timeout(SHORT, next).await.is_err());
    }
}
