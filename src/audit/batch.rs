use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{AuditError, NewEvent};

/// Events that are written together, about: of those that somebody waits for, and as many of the others.
const SIZE: u64 = 4096;

/// The events of one caller, on their way.
#[derive(Debug)]
pub(super) struct Entry {
    events: Vec<NewEvent>,
    /// Who waits for them.
    done: Option<Done>,
    _seats: Seats,
}

/// Where it is told what became of them.
pub(super) type Done = oneshot::Sender<Result<(), AuditError>>;

impl Entry {
    pub(super) fn new(events: Vec<NewEvent>, done: Option<Done>, seats: Seats) -> Self {
        Self { events, done, _seats: seats }
    }

    pub(super) fn len(&self) -> u64 {
        self.events.len() as u64
    }
}

/// The room that events take until they are stored or given up.
#[derive(Debug)]
pub(super) struct Seats {
    room: OwnedSemaphorePermit,
    waiting: Gauge,
}

impl Seats {
    pub(super) fn new(room: OwnedSemaphorePermit, waiting: &Gauge) -> Self {
        let seats = Self { room, waiting: waiting.clone() };
        seats.waiting.inc_by(seats.count());
        seats
    }

    fn count(&self) -> i64 {
        i64::try_from(self.room.num_permits()).unwrap_or(i64::MAX)
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        self.waiting.dec_by(self.count());
    }
}

/// What the writer has in hand.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Somebody waits for these.
    pub(super) durable: Half,
    pub(super) soon: Half,
}

#[derive(Debug, Default)]
pub(super) struct Half {
    entries: Vec<Entry>,
    events: u64,
}

impl Half {
    pub(super) fn push(&mut self, entry: Entry) {
        self.events += entry.len();
        self.entries.push(entry);
    }

    /// Takes what waits.
    pub(super) fn fill(&mut self, queue: &mut mpsc::UnboundedReceiver<Entry>) {
        while self.events < SIZE
            && let Ok(entry) = queue.try_recv()
        {
            self.push(entry);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        self.events
    }

    /// Takes everything out, and tells those who wait.
    fn end(&mut self, result: &Result<(), AuditError>) {
        self.events = 0;
        for done in self.entries.drain(..).filter_map(|entry| entry.done) {
            // Who was cut off meanwhile has not answered anything.
            let _ = done.send(result.clone());
        }
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.durable.is_empty() && self.soon.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        self.durable.events + self.soon.events
    }

    pub(super) fn events(&self) -> impl Iterator<Item = &NewEvent> {
        self.durable.entries.iter().chain(&self.soon.entries).flat_map(|entry| &entry.events)
    }

    /// All of it is stored.
    pub(super) fn succeed(&mut self) {
        self.durable.end(&Ok(()));
        self.soon.end(&Ok(()));
    }

    /// None of it is stored. Whoever waited is told, and withholds the answer; the rest stays, to be tried again.
    pub(super) fn fail(&mut self, error: AuditError) {
        self.durable.end(&Err(error));
    }
}
