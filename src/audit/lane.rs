use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit, oneshot},
    time::Instant,
};

use super::{AuditError, NewEvent, batch::Batch};

/// Events that wait, at most: of those that somebody waits for, and as many of the others. About 0.3 KB each.
pub(super) const ROOM: usize = 65_536;

/// Events that are written together, about.
const SIZE: usize = 4096;

/// A way to the writer: for events that somebody waits for, or for the others.
#[derive(Debug)]
pub(super) struct Lane {
    queue: Mutex<Queue>,
    room: Semaphore,
    waiting: Gauge,
    /// The writer.
    writer: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Queue {
    loads: VecDeque<Load>,
    /// An empty batch with the room of one that was stored.
    spare: Batch,
    closed: bool,
}

/// Events of one or more requests.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) batch: Arc<Batch>,
    /// When the first of them came.
    since: Instant,
    /// The room that they take until they are stored or given up.
    seats: usize,
    asked: Vec<oneshot::Sender<Result<(), AuditError>>>,
}

/// Where it is told what became of events.
pub(super) type Answer = oneshot::Receiver<Result<(), AuditError>>;

impl Lane {
    pub(super) fn new(writer: Arc<Notify>, waiting: Gauge) -> Self {
        Self { queue: Mutex::default(), room: Semaphore::new(ROOM), waiting, writer }
    }

    /// Puts events in, if there is room.
    pub(super) fn offer(&self, events: &[NewEvent]) -> bool {
        self.room.try_acquire_many(seats(events)).is_ok_and(|room| self.push(events, room, None))
    }

    /// Puts events in once there is room.
    pub(super) async fn put(&self, events: &[NewEvent]) -> Result<Answer, AuditError> {
        let room = self.room.acquire_many(seats(events)).await.map_err(|_| AuditError::Closed)?;
        let (asked, answer) = oneshot::channel();
        if self.push(events, room, Some(asked)) { Ok(answer) } else { Err(AuditError::Closed) }
    }

    /// Takes no more.
    pub(super) fn close(&self) {
        self.queue().closed = true;
        self.room.close();
    }

    /// Since when the first waits; `None` if none does.
    pub(super) fn since(&self) -> Option<Instant> {
        self.queue().loads.front().map(|load| load.since)
    }

    pub(super) fn take(&self) -> Option<Load> {
        self.queue().loads.pop_front()
    }

    /// Gives the room of events back, and tells those who wait for them.
    pub(super) fn end(&self, load: Load, result: &Result<(), AuditError>) {
        self.waiting.dec_by(gauged(load.batch.len()));
        self.room.add_permits(load.seats);
        for asked in load.asked {
            // Who was cut off meanwhile has not answered anything.
            let _ = asked.send(result.clone());
        }
        if let Some(mut batch) = Arc::into_inner(load.batch) {
            batch.clear();
            self.queue().spare = batch;
        }
    }

    fn push(
        &self,
        events: &[NewEvent],
        room: SemaphorePermit<'_>,
        asked: Option<oneshot::Sender<Result<(), AuditError>>>,
    ) -> bool {
        let mut queue = self.queue();
        if queue.closed {
            return false;
        }
        let was_empty = queue.loads.is_empty();
        let mut load = match queue.loads.pop_back() {
            Some(load) if load.batch.len() < SIZE => load,
            full => {
                queue.loads.extend(full);
                Load::new(std::mem::take(&mut queue.spare))
            }
        };
        // Nobody else has it before it is taken.
        Arc::make_mut(&mut load.batch).extend(events);
        load.seats += room.num_permits();
        load.asked.extend(asked);
        queue.loads.push_back(load);
        drop(queue);
        room.forget();
        self.waiting.inc_by(gauged(events.len()));
        if was_empty {
            self.writer.notify_one();
        }
        true
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is locked; if it did, what is in it would still be sound.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    fn new(batch: Batch) -> Self {
        Self { batch: Arc::new(batch), since: Instant::now(), seats: 0, asked: Vec::new() }
    }
}

/// More than there is room for could never come.
fn seats(events: &[NewEvent]) -> u32 {
    u32::try_from(events.len().min(ROOM)).unwrap_or(u32::MAX)
}

fn gauged(events: usize) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}
