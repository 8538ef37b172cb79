mod batch;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

pub(super) use batch::Batch;

use super::{AuditError, NewEvent};

/// Events that wait, at most: of those that somebody waits for, and as many of the others. About 0.3 KB each. One that concerns many
/// subjects [weighs](NewEvent::weight) as much as several, here and below.
const ROOM: usize = 65_536;

/// The part of the room that a caller with many requests may have: as much of it as is left. So a caller who is alone gets half of this, a
/// quarter of all; and the other half of the room is for those who want little, however many want too much.
const COMMON: usize = ROOM / 2;

/// Events of one actor that are written together, at most. A caller who comes meanwhile waits for no more than these. Fewer make
/// each event dearer, by what a commit costs; more make everybody else wait longer.
const QUANTUM: usize = 512;

/// Events that are written together, about.
const SIZE: usize = 4096;

/// Empty batches that are kept with their room.
const SPARES: usize = SIZE / QUANTUM;

/// A way to the writer: for events that somebody waits for, or for the others. Actors have their turns in it, and each
/// a share of its room: so a caller who queues more than is written is the one who waits, and the one who is refused.
#[derive(Debug)]
pub(super) struct Lane {
    queue: Mutex<Queue>,
    waiting: Gauge,
    /// The writer.
    writer: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Those whose events are not yet stored, or given up.
    actors: HashMap<Arc<str>, Waiting>,
    /// Those of them who have loads that nobody has taken; whose turn is next comes first.
    turns: VecDeque<Arc<str>>,
    /// When the first of what waits came.
    since: Option<Instant>,
    /// The weight of the events of all actors.
    held: usize,
    /// Empty batches with the room of those that were stored.
    spares: Vec<Batch>,
    closed: bool,
}

/// What an actor has in the lane.
#[derive(Debug, Default)]
struct Waiting {
    loads: VecDeque<Load>,
    /// The weight of the events, those among them that are being written.
    held: usize,
}

/// Events of one or more requests of an actor.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) batch: Arc<Batch>,
    actor: Arc<str>,
    asked: Vec<oneshot::Sender<Result<(), AuditError>>>,
}

/// Where it is told what became of events: of each part of them.
pub(super) type Answers = Vec<oneshot::Receiver<Result<(), AuditError>>>;

impl Lane {
    pub(super) fn new(writer: Arc<Notify>, waiting: Gauge) -> Self {
        Self { queue: Mutex::default(), waiting, writer }
    }

    /// Puts events of one actor in.
    ///
    /// # Errors
    ///
    /// [`AuditError::Crowded`] if that is more than the actor's share, [`AuditError::Closed`].
    pub(super) fn offer(&self, events: &[NewEvent]) -> Result<(), AuditError> {
        self.push(events, |_| {})
    }

    /// The same, for somebody who waits until they are stored.
    ///
    /// # Errors
    ///
    /// The same.
    pub(super) fn put(&self, events: &[NewEvent]) -> Result<Answers, AuditError> {
        let mut answers = Vec::new();
        self.push(events, |load| {
            let (asked, answer) = oneshot::channel();
            load.asked.push(asked);
            answers.push(answer);
        })?;
        Ok(answers)
    }

    /// Takes no more.
    pub(super) fn close(&self) {
        self.queue().closed = true;
    }

    /// Since when the first waits; `None` if none does.
    pub(super) fn since(&self) -> Option<Instant> {
        self.queue().since
    }

    /// Takes what is to be written next: some of each whose turn it is.
    pub(super) fn take(&self, loads: &mut Vec<Load>) {
        let mut queue = self.queue();
        let queue = &mut *queue;
        let mut size = 0;
        for _ in 0..queue.turns.len() {
            if size >= SIZE {
                break;
            }
            let Some(actor) = queue.turns.pop_front() else { break };
            let Some(waiting) = queue.actors.get_mut(&actor) else { continue };
            let load = waiting.loads.pop_front();
            size += load.as_ref().map_or(0, |load| load.batch.weight());
            loads.extend(load);
            if !waiting.loads.is_empty() {
                queue.turns.push_back(actor);
            }
        }
        if queue.turns.is_empty() {
            queue.since = None;
        }
    }

    /// Gives the room of events back, and tells those who wait for them.
    pub(super) fn end(&self, load: Load, result: &Result<(), AuditError>) {
        let Load { batch, actor, asked } = load;
        let (count, weight) = (batch.len(), batch.weight());
        let spare = Arc::into_inner(batch).map(|mut batch| {
            batch.clear();
            batch
        });
        self.queue().leave(&actor, weight, spare);
        self.waiting.dec_by(gauged(count));
        for asked in asked {
            // Who was cut off meanwhile has not answered anything.
            let _ = asked.send(result.clone());
        }
    }

    /// `added` is told of each load that some of them were added to.
    fn push(&self, events: &[NewEvent], added: impl FnMut(&mut Load)) -> Result<(), AuditError> {
        let Some(first) = events.first() else { return Ok(()) };
        let mut queue = self.queue();
        if queue.closed {
            return Err(AuditError::Closed);
        }
        if !queue.has_room(first.actor(), weight(events)) {
            return Err(AuditError::Crowded);
        }
        let was_empty = queue.turns.is_empty();
        queue.push(first.actor(), events, added);
        drop(queue);
        self.waiting.inc_by(gauged(events.len()));
        if was_empty {
            self.writer.notify_one();
        }
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it is locked; if it did, what is in it would still be sound.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// A caller who has nothing in the lane may put in one request, whatever its size: it would never come otherwise.
    fn has_room(&self, actor: &str, weight: usize) -> bool {
        let held = self.actors.get(actor).map_or(0, |waiting| waiting.held);
        let wants_little = held == 0 || held + weight <= QUANTUM;
        (wants_little && self.held < ROOM) || held + weight <= COMMON.saturating_sub(self.held + weight)
    }

    fn push(&mut self, actor: &Arc<str>, events: &[NewEvent], mut added: impl FnMut(&mut Load)) {
        let waiting = self.actors.entry(actor.clone()).or_default();
        if waiting.loads.is_empty() {
            self.turns.push_back(actor.clone());
        }
        waiting.held += weight(events);
        self.held += weight(events);
        self.since.get_or_insert_with(Instant::now);
        let mut events = events.iter().peekable();
        while events.peek().is_some() {
            let mut load = match waiting.loads.pop_back() {
                Some(load) if load.batch.weight() < QUANTUM => load,
                full => {
                    waiting.loads.extend(full);
                    Load::new(actor.clone(), self.spares.pop().unwrap_or_default())
                }
            };
            // Nobody else has it before it is taken.
            let batch = Arc::make_mut(&mut load.batch);
            while batch.weight() < QUANTUM
                && let Some(event) = events.next()
            {
                batch.push(event);
            }
            added(&mut load);
            waiting.loads.push_back(load);
        }
    }

    /// Events are stored, or given up.
    fn leave(&mut self, actor: &Arc<str>, weight: usize, spare: Option<Batch>) {
        self.held -= weight;
        if let Some(waiting) = self.actors.get_mut(actor) {
            waiting.held -= weight;
            if waiting.held == 0 {
                self.actors.remove(actor);
            }
        }
        if self.spares.len() < SPARES {
            self.spares.extend(spare);
        }
    }
}

fn weight(events: &[NewEvent]) -> usize {
    events.iter().map(NewEvent::weight).sum()
}

impl Load {
    fn new(actor: Arc<str>, batch: Batch) -> Self {
        Self { batch: Arc::new(batch), actor, asked: Vec::new() }
    }
}

fn gauged(events: usize) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{Action, Origin},
        envelope::SubjectId,
    };

    fn lane() -> Lane {
        Lane::new(Arc::default(), Gauge::default())
    }

    fn events(actor: &str, count: usize) -> Vec<NewEvent> {
        vec![NewEvent::new(&Origin::new(actor), Action::ReadPii); count]
    }

    /// Whose events are written next, and how many of each.
    fn taken(lane: &Lane) -> Vec<(String, usize)> {
        let mut loads = Vec::new();
        lane.take(&mut loads);
        let told = loads.iter().map(|load| (load.actor.to_string(), load.batch.len())).collect();
        for load in loads {
            lane.end(load, &Ok(()));
        }
        told
    }

    fn crowded(offered: &Result<(), AuditError>) -> bool {
        matches!(offered, Err(AuditError::Crowded))
    }

    #[test]
    fn whoever_wants_little_does_not_wait_for_whoever_wants_much() {
        let lane = lane();
        lane.offer(&events("greedy", 10_000)).unwrap();
        lane.offer(&events("modest", 1)).unwrap();
        let two = [("greedy".to_owned(), QUANTUM), ("modest".to_owned(), 1)];
        assert_eq!(taken(&lane), two);
        assert_eq!(taken(&lane), two[..1]);
        lane.offer(&events("modest", 1)).unwrap();
        assert_eq!(taken(&lane), two);
    }

    #[test]
    fn many_have_their_turns() {
        let lane = lane();
        for actor in 0..10 {
            lane.offer(&events(&actor.to_string(), 2 * QUANTUM)).unwrap();
        }
        let mut order = Vec::new();
        while lane.since().is_some() {
            let taken = taken(&lane);
            assert!(taken.iter().map(|(_, count)| count).sum::<usize>() <= SIZE);
            order.extend(taken.into_iter().map(|(actor, _)| actor));
        }
        let twice: Vec<_> = (0..20).map(|turn| (turn % 10).to_string()).collect();
        assert_eq!(order, twice);
    }

    #[test]
    fn whoever_wants_too_much_is_refused_and_nobody_else() {
        let lane = lane();
        let fill = |actor: &str| {
            let mut stored = 0;
            while lane.offer(&events(actor, 100)).is_ok() {
                stored += 100;
            }
            stored
        };
        let alone = fill("greedy");
        assert!((ROOM / 4 - 100..=ROOM / 4).contains(&alone), "a quarter: {alone}");
        for other in 0..50 {
            fill(&other.to_string());
            assert!(crowded(&lane.offer(&events("greedy", 1))));
            lane.offer(&events(&format!("modest {other}"), 10)).unwrap();
        }
        assert!(lane.queue().held <= ROOM);
        // What is stored makes room.
        while lane.since().is_some() {
            taken(&lane);
        }
        assert!(lane.queue().actors.is_empty());
        assert_eq!((lane.queue().held, lane.waiting.get()), (0, 0));
        assert_eq!(fill("greedy"), alone);
    }

    #[test]
    fn an_event_about_many_takes_the_room_and_the_turn_of_several() {
        let lane = lane();
        let subjects: Vec<_> = (0..100).map(|_| SubjectId::generate()).collect();
        let event = NewEvent::new(&Origin::new("greedy"), Action::ReadPii).about_each(&subjects);
        assert_eq!(event.weight(), 13);
        let mut stored = 0;
        while lane.offer(std::slice::from_ref(&event)).is_ok() {
            stored += 1;
        }
        assert_eq!(stored, ROOM / 4 / 13);
        lane.offer(&events("modest", 1)).unwrap();
        assert_eq!(taken(&lane), [("greedy".to_owned(), QUANTUM.div_ceil(13)), ("modest".to_owned(), 1)]);
        while lane.since().is_some() {
            taken(&lane);
        }
        assert_eq!((lane.queue().held, lane.waiting.get()), (0, 0));
    }

    #[test]
    fn whoever_waits_is_told_of_each_part() {
        let lane = lane();
        let mut answers = lane.put(&events("ada", 2 * QUANTUM)).unwrap();
        assert_eq!(answers.len(), 2);
        let mut loads = Vec::new();
        lane.take(&mut loads);
        lane.end(loads.remove(0), &Ok(()));
        lane.take(&mut loads);
        lane.end(loads.remove(0), &Err(AuditError::TooSlow));
        assert!(matches!(answers[0].try_recv(), Ok(Ok(()))));
        assert!(matches!(answers[1].try_recv(), Ok(Err(AuditError::TooSlow))));
        lane.close();
        assert!(matches!(lane.offer(&events("ada", 1)), Err(AuditError::Closed)));
    }

    #[test]
    fn a_request_of_any_size_comes_when_nothing_else_waits() {
        let lane = lane();
        lane.offer(&events("ada", ROOM)).unwrap();
        assert!(crowded(&lane.offer(&events("ada", 1))));
    }
}
