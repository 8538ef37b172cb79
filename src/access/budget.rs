use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use governor::{
    DefaultDirectRateLimiter, NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use moka::sync::Cache;

use super::{Caller, rates::quota};
use crate::{config::LimitsConfig, envelope::SubjectId};

/// A subject counts for this long after it was opened first.
const WINDOW: Duration = Duration::from_mins(1);

/// How many subjects each caller has opened: different ones within the last minute, so that a stolen credential cannot
/// empty the store; and any within a second, so that nobody keeps the server, and the audit trail, busy with the same
/// ones. In this process: each server counts for itself. All clones count together.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Of looks, by the generic cell rate algorithm.
    quota: Option<Quota>,
    spent: Cache<String, Arc<Spent>>,
}

/// What a caller has spent.
#[derive(Debug)]
struct Spent {
    opened: Mutex<Opened>,
    looks: Option<DefaultDirectRateLimiter>,
}

/// What a caller has opened.
#[derive(Debug, Default)]
struct Opened {
    subjects: HashSet<SubjectId>,
    /// The same, the oldest first.
    order: VecDeque<(Instant, SubjectId)>,
}

/// A caller has opened as many subjects as they may. Each says when the next one may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// Different ones.
    #[error("too many users' personal attributes were opened within a minute")]
    Subjects(Duration),
    /// Any, the same again among them.
    #[error("too many users' personal attributes were opened within a second")]
    Looks(Duration),
}

impl Exhausted {
    /// When the next one may be opened.
    #[must_use]
    pub fn retry_after(self) -> Duration {
        let (Self::Subjects(wait) | Self::Looks(wait)) = self;
        wait
    }
}

impl Budget {
    /// Nobody has opened anything.
    #[must_use]
    pub fn new(limits: &LimitsConfig) -> Self {
        // A caller who is dropped has opened nothing within the window.
        let spent = Cache::builder().time_to_idle(WINDOW * 2).build();
        Self { quota: quota(limits.looks_per_second_per_token), spent }
    }

    /// What `caller` has opened, and may open.
    #[must_use]
    pub fn account(&self, caller: &Caller) -> Account {
        let spent = self.spent.get(&caller.actor).unwrap_or_else(|| {
            let looks = self.quota.map(RateLimiter::direct);
            let spent = || Arc::new(Spent { opened: Mutex::default(), looks });
            self.spent.get_with(caller.actor.clone(), spent)
        });
        Account { limit: caller.subjects_per_minute, spent, charged: Mutex::default() }
    }
}

/// The budget of one caller: to be asked for once a request.
#[derive(Debug)]
pub struct Account {
    /// Of different subjects within a minute.
    limit: Option<u32>,
    spent: Arc<Spent>,
    /// Whom this request asked for, and whether it may open them.
    charged: Mutex<HashMap<SubjectId, Result<(), Exhausted>>>,
}

impl Account {
    /// Counts that something of `subject` is about to be opened. The same subject again within the request is free, or
    /// refused again.
    ///
    /// # Errors
    ///
    /// [`Exhausted`]; then it may not be opened.
    pub fn charge(&self, subject: SubjectId) -> Result<(), Exhausted> {
        if self.limit.is_none() && self.spent.looks.is_none() {
            return Ok(());
        }
        // Nothing panics while it is locked; if it did, the counts would still be sound.
        let mut charged = self.charged.lock().unwrap_or_else(PoisonError::into_inner);
        *charged.entry(subject).or_insert_with(|| self.spent.charge(self.limit, subject))
    }
}

/// A look-up that was paid for before it is known whom it finds, if anybody.
#[derive(Clone, Copy, Debug)]
#[must_use = "what it finds takes its place"]
pub struct Reservation(SubjectId);

impl Account {
    /// Counts that somebody is about to be looked for, as one subject more: whoever has spent all learns nothing, also not of those whom they have opened.
    ///
    /// # Errors
    ///
    /// [`Exhausted`]; then nobody may be looked for.
    pub fn reserve(&self) -> Result<Reservation, Exhausted> {
        let nobody = SubjectId::generate();
        self.spent.charge(self.limit, nobody)?;
        Ok(Reservation(nobody))
    }

    /// Counts that a look-up found somebody, who takes the place of the nobody that was paid for.
    pub fn settle(&self, Reservation(nobody): Reservation, found: SubjectId) {
        self.spent.opened.lock().unwrap_or_else(PoisonError::into_inner).rename(nobody, found);
        self.charged.lock().unwrap_or_else(PoisonError::into_inner).insert(found, Ok(()));
    }
}

impl Spent {
    fn charge(&self, limit: Option<u32>, subject: SubjectId) -> Result<(), Exhausted> {
        if let Some(looks) = &self.looks {
            let wait = |until: NotUntil<_>| until.wait_time_from(DefaultClock::default().now());
            looks.check().map_err(|until| Exhausted::Looks(wait(until)))?;
        }
        if let Some(limit) = limit {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            opened.charge(limit, subject, Instant::now())?;
        }
        Ok(())
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
            return Err(Exhausted::Subjects(WINDOW.saturating_sub(now.duration_since(oldest))));
        }
        self.subjects.insert(subject);
        self.order.push_back((now, subject));
        Ok(())
    }

    /// One who counts already does not count twice.
    fn rename(&mut self, from: SubjectId, to: SubjectId) {
        if !self.subjects.remove(&from) {
            return;
        }
        let is_new = self.subjects.insert(to);
        // Near the end: it came just now, and all before it are those of a minute.
        let Some(place) = self.order.iter().rposition(|(_, one)| *one == from) else { return };
        if is_new {
            self.order[place].1 = to;
        } else {
            self.order.remove(place);
        }
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
        let exhausted = Exhausted::Subjects(Duration::from_secs(50));
        assert_eq!(opened.charge(3, subjects[3], later), Err(exhausted));
        // Once the first has left the window, there is room for one.
        let after = start + WINDOW;
        assert_eq!(opened.charge(3, subjects[3], after), Ok(()));
        assert!(opened.charge(3, subjects[0], after).is_err());
        assert_eq!(opened.subjects.len(), opened.order.len());
    }

    #[test]
    fn a_look_up_counts_found_or_not_and_whom_it_finds_counts_once() {
        let limits = LimitsConfig { looks_per_second_per_token: 0, ..LimitsConfig::default() };
        let budget = Budget::new(&limits);
        let caller = Caller { subjects_per_minute: Some(3), ..Caller::anonymous() };
        let [a, b] = [SubjectId::generate(), SubjectId::generate()];
        let find = |found: Option<SubjectId>| {
            let account = budget.account(&caller);
            let reserved = account.reserve()?;
            if let Some(found) = found {
                account.settle(reserved, found);
                // Within the request, it was paid for.
                account.charge(found)?;
            }
            Ok::<_, Exhausted>(())
        };
        for _ in 0..5 {
            assert_eq!(find(Some(a)), Ok(()));
        }
        assert_eq!(find(None), Ok(()));
        assert_eq!(find(Some(b)), Ok(()));
        // Also whom they have opened already: it would tell of a value whose it is.
        assert!(find(Some(a)).is_err() && find(None).is_err());
        assert_eq!(budget.account(&caller).charge(a), Ok(()));
    }

    #[test]
    fn callers_count_apart() {
        let budget = Budget::new(&LimitsConfig::default());
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

    #[test]
    fn the_same_again_counts_once_a_request() {
        let limits = LimitsConfig { looks_per_second_per_token: 2, ..LimitsConfig::default() };
        let budget = Budget::new(&limits);
        let caller = Caller { subjects_per_minute: Some(1), ..Caller::anonymous() };
        let subject = SubjectId::generate();
        // At once, as many as come within two seconds.
        for _ in 0..4 {
            let account = budget.account(&caller);
            assert!((0..10).all(|_| account.charge(subject).is_ok()));
        }
        let refused = budget.account(&caller).charge(subject);
        assert!(
            matches!(refused, Err(Exhausted::Looks(wait)) if wait <= Duration::from_secs(1)),
            "{refused:?}"
        );
        let other = Caller { actor: "token:y".to_owned(), ..caller };
        assert!(budget.account(&other).charge(subject).is_ok());
    }
}
