use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use moka::sync::Cache;

use super::Caller;
use crate::envelope::SubjectId;

/// A subject counts for this long after it was opened first.
const WINDOW: Duration = Duration::from_mins(1);

/// How many subjects each caller has opened within the last minute, so that a stolen credential cannot empty
/// the store. In this process: each server counts for itself. All clones count together.
#[derive(Clone, Debug)]
pub struct Budget(Cache<String, Arc<Mutex<Opened>>>);

/// What a caller has opened.
#[derive(Debug, Default)]
struct Opened {
    subjects: HashSet<SubjectId>,
    /// The same, the oldest first.
    order: VecDeque<(Instant, SubjectId)>,
}

/// A caller has opened as many subjects as they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many users' personal attributes were opened within a minute")]
pub struct Exhausted {
    /// When the next one may be opened.
    pub retry_after: Duration,
}

impl Budget {
    /// Nobody has opened anything.
    #[must_use]
    pub fn new() -> Self {
        // Whoever is dropped has opened nothing within the window.
        Self(Cache::builder().time_to_idle(WINDOW * 2).build())
    }

    /// What `caller` has opened, and may open.
    #[must_use]
    pub fn account(&self, caller: &Caller) -> Account {
        Account(caller.subjects_per_minute.map(|limit| {
            let opened = match self.0.get(&caller.actor) {
                Some(opened) => opened,
                None => self.0.get_with(caller.actor.clone(), Arc::default),
            };
            (limit, opened)
        }))
    }
}

/// The budget of one caller: to be asked for once a request.
#[derive(Clone, Debug)]
pub struct Account(Option<(u32, Arc<Mutex<Opened>>)>);

impl Account {
    /// Counts that something of `subject` is about to be opened. The same subject again is free.
    ///
    /// # Errors
    ///
    /// [`Exhausted`]; then it may not be opened.
    pub fn charge(&self, subject: SubjectId) -> Result<(), Exhausted> {
        let Some((limit, opened)) = &self.0 else { return Ok(()) };
        // Nothing panics while it is locked; if it did, the counts would still be sound.
        let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.charge(*limit, subject, Instant::now())
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

impl Opened {
    fn charge(&mut self, limit: u32, subject: SubjectId, now: Instant) -> Result<(), Exhausted> {
        while let Some((since, oldest)) = self.order.front().copied()
            && now.duration_since(since) >= WINDOW
        {
            self.order.pop_front();
            self.subjects.remove(&oldest);
        }
        if self.subjects.contains(&subject) {
            return Ok(());
        }
        if self.order.len() >= limit as usize {
            let oldest = self.order.front().map_or(now, |(since, _)| *since);
            return Err(Exhausted { retry_after: WINDOW.saturating_sub(now.duration_since(oldest)) });
        }
        self.subjects.insert(subject);
        self.order.push_back((now, subject));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_subjects_count_and_the_same_again_does_not() {
        let mut opened = Opened::default();
        let subjects: Vec<_> = (0..4).map(|_| SubjectId::generate()).collect();
        let start = Instant::now();
        for (second, subject) in (0..).zip(&subjects[..3]) {
            assert_eq!(opened.charge(3, *subject, start + Duration::from_secs(second)), Ok(()));
        }
        let later = start + Duration::from_secs(10);
        assert_eq!(opened.charge(3, subjects[0], later), Ok(()));
        let exhausted = Exhausted { retry_after: Duration::from_secs(50) };
        assert_eq!(opened.charge(3, subjects[3], later), Err(exhausted));
        // Once the first has left the window, there is room for one.
        let after = start + WINDOW;
        assert_eq!(opened.charge(3, subjects[3], after), Ok(()));
        assert!(opened.charge(3, subjects[0], after).is_err());
        assert_eq!(opened.subjects.len(), opened.order.len());
    }

    #[test]
    fn callers_count_apart() {
        let budget = Budget::new();
        let caller = |actor: &str| Caller {
            actor: actor.to_owned(),
            subjects_per_minute: Some(1),
            ..Caller::anonymous()
        };
        let [a, b] = [SubjectId::generate(), SubjectId::generate()];
        assert!(budget.account(&caller("token:x")).charge(a).is_ok());
        assert!(budget.account(&caller("token:x")).charge(b).is_err());
        assert!(budget.account(&caller("token:y")).charge(b).is_ok());
        let unlimited = Caller { subjects_per_minute: None, ..caller("token:x") };
        assert!(budget.account(&unlimited).charge(b).is_ok());
    }
}
