use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use strum::IntoStaticStr;

use crate::{chain::Head, config::LedgerConfig, database::now, ledger::publication::SKEW};

/// What servers find in the sinks, and whether it is good enough. All clones share it.
#[derive(Clone, Debug)]
pub struct SinkHealth(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    unreachable_for: Duration,
    found: Mutex<Found>,
}

#[derive(Debug)]
struct Found {
    sinks: BTreeMap<String, Sink>,
    /// When the database was last at one with one of them.
    reached_at: Option<DateTime<Utc>>,
    /// Whether that was not long ago when this process began: the database is no old one.
    is_fresh: bool,
    /// When this process began, or the database last went back.
    since: Instant,
}

#[derive(Debug)]
struct Sink {
    state: SinkState,
    /// Whether this process has found the database whole beside it.
    is_seen: bool,
    /// The same since the database last went back.
    is_seen_since: bool,
    /// Where its log ends, as far as that counts.
    head: Head,
}

/// What was found in a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SinkState {
    /// Nobody has looked yet.
    Unseen,
    /// The database has all that the sink has, and the sink takes the rest.
    Good,
    /// The database has all that the sink has, and the sink does not take the rest.
    Unwritable,
    /// The database lacks entries of the sink. They are being brought in.
    Behind,
    /// The sink has another ledger, with nothing in common.
    Foreign,
    /// Sink and database have gone on differently from a common place, and both were signed.
    Forked,
    /// The sink lacks entries that were published to it.
    Lost,
    /// What the sink holds is not what was published.
    Damaged,
    /// It does not answer.
    Unreachable,
}

/// Whether a server should get requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// There is no sink.
    None,
    /// All sinks are good.
    Ready,
    /// One of them is not, and answers are right all the same.
    Degraded,
    /// Nobody can say who was forgotten.
    NotReady,
}

impl SinkState {
    /// Whether the database has all that the sink has.
    #[must_use]
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Good | Self::Unwritable)
    }

    /// Whether the sink knows of entries that the database does not have. Only a look that says otherwise ends that.
    #[must_use]
    pub fn is_at_odds(self) -> bool {
        matches!(self, Self::Behind | Self::Foreign | Self::Forked)
    }
}

impl SinkHealth {
    /// Of sinks at which nobody has looked yet.
    #[must_use]
    pub fn new(config: &LedgerConfig) -> Self {
        let unseen =
            || Sink { state: SinkState::Unseen, is_seen: false, is_seen_since: false, head: Head::genesis() };
        let sinks = config.sinks.keys().map(|name| (name.clone(), unseen())).collect();
        let found = Mutex::new(Found { sinks, reached_at: None, is_fresh: false, since: Instant::now() });
        Self(Arc::new(Shared { unreachable_for: config.unreachable_for, found }))
    }

    /// Whether a server should get requests.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let found = self.found();
        if found.sinks.is_empty() {
            Readiness::None
        } else if !self.is_trusted_by(&found) {
            Readiness::NotReady
        } else if found.sinks.values().all(|sink| sink.state == SinkState::Good) {
            Readiness::Ready
        } else {
            Readiness::Degraded
        }
    }

    /// Whether people can be answered about.
    ///
    /// No sink knows of entries that the database does not have. The database was at one with one of them not long ago; and with all of them since this
    /// process began, unless it was so shortly before: else the database may be an old one, and the newest sink the one that does not answer.
    pub(crate) fn is_trusted(&self) -> bool {
        self.is_trusted_by(&self.found())
    }

    fn is_trusted_by(&self, found: &Found) -> bool {
        let any = |is: &dyn Fn(&Sink) -> bool| found.sinks.values().any(is);
        if found.sinks.is_empty() {
            return true;
        }
        let is_vouched_for = found.is_fresh || !any(&|sink| !sink.is_seen);
        // Who has seen nothing but damage cannot know what it covers up.
        let is_covered_up = any(&|sink| sink.state == SinkState::Damaged && !sink.is_seen)
            && !any(&|sink| sink.state.is_whole());
        !any(&|sink| sink.state.is_at_odds())
            && self.is_recent(found.reached_at)
            && is_vouched_for
            && !is_covered_up
    }

    /// Whether something can be signed: no sink may have a newer log than all that answer.
    pub(super) fn may_publish(&self) -> bool {
        let found = self.found();
        let is_at_odds = found.sinks.values().any(|sink| sink.state.is_at_odds());
        let is_seen = found.sinks.values().all(|sink| sink.is_seen_since);
        !is_at_odds && (is_seen || found.since.elapsed() > self.0.unreachable_for)
    }

    /// The database went back.
    pub(super) fn database_went_back(&self) {
        self.found().went_back();
    }

    /// A look found this; the log ends there, as far as it was read.
    pub(super) fn set(&self, name: &str, state: SinkState, head: Option<Head>) {
        let mut found = self.found();
        if state.is_whole() {
            found.reached_at = Some(now());
        }
        let Some(sink) = found.sinks.get_mut(name) else { return };
        sink.is_seen |= state.is_whole();
        sink.is_seen_since |= state.is_whole();
        if let Some(head) = head {
            sink.head = head;
        }
        // Who does not answer, or not well, takes back nothing of what was found before.
        let stays = match state {
            SinkState::Damaged | SinkState::Lost => sink.state.is_at_odds(),
            SinkState::Unreachable => {
                sink.state.is_at_odds() || (sink.state == SinkState::Damaged && !sink.is_seen)
            }
            _ => false,
        };
        if stays {
            return;
        }
        let is_news = state == SinkState::Behind && sink.state != SinkState::Behind;
        sink.state = state;
        if is_news {
            found.went_back();
        }
    }

    /// Whether this process has found the database whole beside a sink.
    pub(super) fn is_seen(&self, name: &str) -> bool {
        self.found().sinks.get(name).is_some_and(|sink| sink.is_seen)
    }

    /// The longest log of all sinks: whose it is, and where it ends.
    pub(super) fn longest(&self) -> (String, Head) {
        let found = self.found();
        let longest = found.sinks.iter().max_by_key(|(_, sink)| sink.head.sequence);
        longest.map_or_else(
            || (String::new(), Head::genesis()),
            |(name, sink)| (name.clone(), sink.head.clone()),
        )
    }

    /// Another server, or this one before it was started, was at one with a sink then.
    pub(crate) fn reached_before(&self, at: Option<DateTime<Utc>>) {
        let mut found = self.found();
        found.is_fresh = self.is_recent(at);
        found.reached_at = found.reached_at.max(at);
    }

    /// A moment of the future was set by a clock that is wrong.
    fn is_recent(&self, at: Option<DateTime<Utc>>) -> bool {
        let now = now();
        at.is_some_and(|at| at < now + SKEW && at > now - self.0.unreachable_for)
    }

    /// A sink is looked at, and that it was reached is stored, at least this often: else one that is well would count as one that was not reached for long,
    /// here or after a restart.
    pub(super) fn at_least_every(&self) -> Duration {
        self.0.unreachable_for / 4
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.0.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    /// What was seen before says nothing any more about what may be signed.
    fn went_back(&mut self) {
        self.since = Instant::now();
        self.sinks.values_mut().for_each(|sink| sink.is_seen_since = false);
    }
}
