use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use strum::IntoStaticStr;

use crate::{config::LedgerConfig, database::now};

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
    sinks: BTreeMap<String, SinkState>,
    /// When the database was last at one with one of them.
    reached_at: Option<DateTime<Utc>>,
    /// Whether that was by this server.
    is_own: bool,
}

/// What a server found in a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SinkState {
    /// Nobody has looked yet.
    Unseen,
    /// The database has all that the sink has, and the sink all that it should.
    Good,
    /// The database lacks entries of the sink. They are being brought in.
    Behind,
    /// The sink has another ledger, with nothing in common.
    Foreign,
    /// Sink and database have gone on differently from a common place, and both were signed.
    Forked,
    /// What the sink holds is not what was published.
    Damaged,
    /// It does not answer, or does not take what is published.
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

impl SinkHealth {
    /// Of sinks at which nobody has looked yet.
    #[must_use]
    pub fn new(config: &LedgerConfig) -> Self {
        let sinks = config.sinks.keys().map(|name| (name.clone(), SinkState::Unseen)).collect();
        let found = Mutex::new(Found { sinks, reached_at: None, is_own: false });
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
        } else if found.sinks.values().all(|state| *state == SinkState::Good) {
            Readiness::Ready
        } else {
            Readiness::Degraded
        }
    }

    /// Whether people can be answered about: the database is not behind a sink, and was at one with one of them not long ago.
    pub(super) fn is_trusted(&self) -> bool {
        self.is_trusted_by(&self.found())
    }

    fn is_trusted_by(&self, found: &Found) -> bool {
        let any = |states: &[SinkState]| found.sinks.values().any(|state| states.contains(state));
        if any(&[SinkState::Behind, SinkState::Foreign, SinkState::Forked]) {
            return false;
        }
        if any(&[SinkState::Good]) || found.sinks.is_empty() {
            return true;
        }
        let since = found.reached_at.map(|at| now() - at);
        let is_late =
            since.is_none_or(|since| since.to_std().is_ok_and(|since| since > self.0.unreachable_for));
        // A server that has seen nothing but damage cannot know what it covers up.
        !is_late && (found.is_own || !any(&[SinkState::Damaged]))
    }

    /// A server found this. Gives what was found before.
    pub(super) fn set(&self, name: &str, state: SinkState) -> SinkState {
        let mut found = self.found();
        if state == SinkState::Good {
            found.reached_at = Some(now());
            found.is_own = true;
        }
        found.sinks.insert(name.to_owned(), state).unwrap_or(SinkState::Unseen)
    }

    /// Another server, or this one before it was started, was at one with a sink then.
    pub(super) fn reached_before(&self, at: Option<DateTime<Utc>>) {
        let mut found = self.found();
        found.reached_at = found.reached_at.max(at);
    }

    /// How often it is stored that a sink was reached: a restart within that time may count it as longer ago.
    pub(super) fn store_every(&self) -> Duration {
        self.0.unreachable_for / 4
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.0.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
