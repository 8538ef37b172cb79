use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::TooMany;
use crate::audit::{Action, NewEvent, Origin, Outcome, Trail};

/// A refusal counts for this long, together with those that follow it.
const WINDOW: Duration = Duration::from_mins(1);
/// How often it is looked whose minute is over.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);
/// Callers who are counted at the same time, at most: about 200 bytes each. Each has a good credential, and was refused
/// something within the last minute.
const MAX_ACTORS: usize = 50_000;

/// How often each caller is refused something, which the audit trail keeps for good: so that nobody can fill it. Beyond
/// the limit, a caller's requests are refused before they are read, until the minute is over; then one event has their
/// number. In this process: each server counts for itself. All clones count together.
#[derive(Clone, Debug)]
pub struct Refusals {
    /// Events within a minute; 0 is no limit.
    limit: u32,
    actors: Arc<Mutex<HashMap<String, Refused>>>,
}

/// What was refused to a caller within their minute.
#[derive(Debug)]
struct Refused {
    since: Instant,
    /// Events that the audit trail has got.
    events: u32,
    /// Requests that were not read.
    unread: u32,
}

impl Refusals {
    /// With a limit for the events of a minute; 0 is none.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { limit, actors: Arc::default() }
    }

    /// Lets a request be read.
    ///
    /// # Errors
    ///
    /// [`TooMany`] things were refused to the caller.
    pub fn admit(&self, actor: &str) -> Result<(), TooMany> {
        self.admit_at(actor, Instant::now())
    }

    /// Counts events of a caller that tell of something refused.
    pub fn count(&self, actor: &str, events: usize) {
        self.count_at(actor, events, Instant::now());
    }

    /// Records how many requests were not read, for each caller whose minute is over, for as long as the future is
    /// polled.
    pub async fn maintain(self, trail: Trail) {
        loop {
            tokio::time::sleep(HOUSEKEEPING_INTERVAL).await;
            record(&trail, self.ended(Instant::now()));
        }
    }

    /// The same for all callers: before the process ends.
    pub fn finish(&self, trail: &Trail) {
        record(trail, std::mem::take(&mut *self.actors()).into_iter());
    }

    fn admit_at(&self, actor: &str, now: Instant) -> Result<(), TooMany> {
        if self.limit == 0 {
            return Ok(());
        }
        match self.actors().get_mut(actor) {
            Some(refused) if refused.events >= self.limit && !refused.has_ended(now) => {
                refused.unread = refused.unread.saturating_add(1);
                Err(TooMany { retry_after: WINDOW.saturating_sub(now.duration_since(refused.since)) })
            }
            _ => Ok(()),
        }
    }

    fn count_at(&self, actor: &str, events: usize, now: Instant) {
        if self.limit == 0 || events == 0 {
            return;
        }
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let mut actors = self.actors();
        if let Some(refused) = actors.get_mut(actor) {
            if refused.has_ended(now) {
                // What was not read is still to be recorded.
                (refused.since, refused.events) = (now, 0);
            }
            refused.events = refused.events.saturating_add(events);
        } else if actors.len() < MAX_ACTORS {
            actors.insert(actor.to_owned(), Refused { since: now, events, unread: 0 });
        } else {
            tracing::warn!("more callers are refused something than can be counted");
        }
    }

    /// Takes out those whose minute is over.
    fn ended(&self, now: Instant) -> impl Iterator<Item = (String, Refused)> + use<> {
        let mut actors = self.actors();
        let ended: Vec<_> = actors.extract_if(|_, refused| refused.has_ended(now)).collect();
        if actors.is_empty() {
            actors.shrink_to_fit();
        }
        ended.into_iter()
    }

    fn actors(&self) -> MutexGuard<'_, HashMap<String, Refused>> {
        // Nothing panics while it is locked; if it did, the counts would still be sound.
        self.actors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refused {
    fn has_ended(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= WINDOW
    }
}

fn record(trail: &Trail, ended: impl Iterator<Item = (String, Refused)>) {
    for (actor, Refused { unread, .. }) in ended.filter(|(_, refused)| refused.unread > 0) {
        let event = NewEvent::new(&Origin::new(&actor), Action::RequestsRefused);
        trail.record_soon(&[event.outcome(Outcome::Denied).times(unread)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_limit_requests_are_refused_and_counted_until_the_minute_is_over() {
        let refusals = Refusals::new(3);
        let start = Instant::now();
        refusals.count_at("token:x", 1, start);
        let later = start + Duration::from_secs(20);
        assert_eq!(refusals.admit_at("token:x", later), Ok(()));
        refusals.count_at("token:x", 2, later);
        let wait = TooMany { retry_after: Duration::from_secs(40) };
        for _ in 0..5 {
            assert_eq!(refusals.admit_at("token:x", later), Err(wait));
        }
        assert_eq!(refusals.admit_at("token:y", later), Ok(()), "callers count apart");
        assert_eq!(refusals.ended(later).count(), 0);

        let after = start + WINDOW;
        assert_eq!(refusals.admit_at("token:x", after), Ok(()));
        let ended: Vec<_> = refusals.ended(after).map(|(actor, refused)| (actor, refused.unread)).collect();
        assert_eq!(ended, [("token:x".to_owned(), 5)]);
        assert_eq!(refusals.ended(after).count(), 0, "once");
    }

    #[test]
    fn a_new_minute_loses_no_count() {
        let refusals = Refusals::new(1);
        let start = Instant::now();
        refusals.count_at("token:x", 1, start);
        assert!(refusals.admit_at("token:x", start).is_err());
        let after = start + WINDOW;
        refusals.count_at("token:x", 1, after);
        assert!(refusals.admit_at("token:x", after).is_err());
        let ended: Vec<_> = refusals.ended(after + WINDOW).map(|(_, refused)| refused.unread).collect();
        assert_eq!(ended, [2]);
    }

    #[test]
    fn no_limit_counts_nobody() {
        let refusals = Refusals::new(0);
        refusals.count("token:x", 1000);
        assert_eq!(refusals.admit("token:x"), Ok(()));
        assert!(refusals.actors().is_empty());
    }
}
