use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{
    SinkError, SinkState,
    compare::{Comparison, compare, is_at},
    context::Context,
    mirror::Mirror,
    pauses::Pauses,
    said::{foreign, forked, lost, shrunk},
};
use crate::{
    access::revocation,
    audit::Origin,
    causes,
    chain::Head,
    ledger::{self, publication, rollbacks::BROUGHT_FORWARD},
    users::LedgerWatcher,
};

/// How long a look at a sink may take. One that hangs must not be the last one.
pub(super) const LOOK: Duration = Duration::from_secs(15);

/// Longest pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// The same if it was the database's.
const SHORT_PAUSE: Duration = Duration::from_millis(500);

/// How long bringing the database forward may take, before it begins with what is left.
const FORWARD: Duration = Duration::from_mins(10);

/// When those are looked for who came in while the database was brought forward: a change that was under way has ended by the last one.
const AGAIN: [Duration; 3] = [Duration::ZERO, Duration::from_secs(10), Duration::from_mins(2)];

/// One sink, as a server looks at it again and again.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) name: String,
    pub(super) mirror: Mirror,
    pub(super) context: Arc<Context>,
    /// Looks that failed.
    failures: Pauses,
    /// Publications that the sink did not take: it is looked at all the same.
    pub(super) refusals: Pauses,
    /// When it was last stored that the sink was reached.
    pub(super) stored: Option<Instant>,
    /// How far the database is known to know that entries were published here.
    pub(super) published: Option<i64>,
    /// What the log says about it.
    said: Option<String>,
    /// When those are looked for who were forgotten and are back.
    again_at: Vec<Instant>,
    pub(super) to_settle: ToSettle,
}

/// What is to be done once the database is whole again.
#[derive(Debug, Default)]
pub(super) struct ToSettle {
    /// Entries are written in a newer version from now on: revoked tokens get theirs.
    pub(super) upgrade: bool,
    /// There were rotations: it is said which are undone.
    pub(super) rotations: bool,
}

/// What a look has found, and what is to be said about it.
pub(super) type Found = (SinkState, Option<String>);

/// Where the database stands, as far as this process knows.
enum Standing {
    /// Seen from this sink. The database ends there.
    Beside(Comparison, Head),
    /// This sink was longer than it is, and longer than the database.
    Shrunk { known: Head },
    /// This sink ends before what was published to it.
    Lost { published: i64 },
}

impl Watch {
    pub(super) fn new(name: String, mirror: Mirror, context: Arc<Context>) -> Self {
        Self {
            name,
            mirror,
            context,
            failures: Pauses::default(),
            refusals: Pauses::default(),
            stored: None,
            published: None,
            said: None,
            again_at: Vec::new(),
            to_settle: ToSettle::default(),
        }
    }

    /// Looks again and again.
    pub(super) async fn keep(&mut self) {
        let mut ticks = interval(self.context.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
            sleep(self.failures.left()).await;
        }
    }

    /// Looks once, and does what follows.
    pub(super) async fn look(&mut self) {
        let before = self.mirror.head().sequence;
        let mut longest = self.longest_pause();
        let (state, problem) = match self.try_to_look().await {
            Ok(found) => found,
            Err(error) => {
                if error.is_of_the_database() {
                    // It may be another one when it comes back.
                    longest = longest.min(SHORT_PAUSE);
                }
                (error.state(), Some(causes::line(&error)))
            }
        };
        if state.is_whole() || self.mirror.head().sequence > before {
            self.failures = Pauses::default();
        } else {
            self.failures.one_more(self.context.poll_interval, longest);
        }
        self.find(state, None).await;
        self.say(state, problem.as_deref());
    }

    pub(super) fn longest_pause(&self) -> Duration {
        PAUSE.min(self.context.health.at_least_every())
    }

    /// Once, as long as it stays the same.
    fn say(&mut self, state: SinkState, problem: Option<&str>) {
        let sink = &self.name;
        // How long something took is no news.
        let said = problem.map(|problem| problem.replace(|char: char| char.is_ascii_digit(), ""));
        match (problem, &self.said) {
            (Some(problem), before) if *before != said => {
                if state.is_at_odds() || state == SinkState::Lost {
                    tracing::error!(sink, "{problem}");
                } else {
                    tracing::warn!(sink, "{problem}");
                }
            }
            (None, Some(_)) => tracing::info!(sink, "the sink is good again"),
            _ => {}
        }
        self.said = said;
    }

    /// What was found counts from now on.
    pub(super) async fn find(&self, state: SinkState, head: Option<Head>) {
        let Context { users, health, metrics, .. } = &*self.context;
        health.set(&self.name, state, head);
        users.ledger_is_at_least(health.longest().1);
        metrics.set_good(&self.name, state == SinkState::Good);
        self.context.judge().await;
    }

    async fn try_to_look(&mut self) -> Result<Found, SinkError> {
        let context = self.context.clone();
        if !context.users.is_ledger_trusted_by(LedgerWatcher::Peers) {
            context.health.database_went_back();
        }
        loop {
            let looked = timeout(LOOK, self.compare()).await;
            let (comparison, found) = match looked.unwrap_or(Err(SinkError::Slow(LOOK)))? {
                Standing::Beside(comparison, found) => (comparison, found),
                Standing::Shrunk { known } => {
                    return Ok((SinkState::Behind, Some(shrunk(&self.mirror.head(), &known))));
                }
                Standing::Lost { published } => {
                    return Ok((SinkState::Lost, Some(lost(&self.mirror.head(), published))));
                }
            };
            let newest = self.mirror.head();
            match comparison {
                Comparison::Whole => {
                    self.forget_again().await?;
                    self.settle().await?;
                    let is_refused = self.refusals.count > 0;
                    let state = if is_refused { SinkState::Unwritable } else { SinkState::Good };
                    self.find(state, Some(newest)).await;
                    return self.after_a_good_look(&found).await;
                }
                Comparison::Behind { common } => {
                    self.find(SinkState::Behind, Some(newest)).await;
                    // Whatever fails then.
                    let after = || AGAIN.iter().map(|after| Instant::now() + *after).collect();
                    self.again_at = after();
                    let forwarded = timeout(FORWARD, self.bring_forward(&found, &common)).await;
                    forwarded.unwrap_or(Err(SinkError::Slow(FORWARD)))?;
                    self.again_at = after();
                }
                Comparison::Foreign => return Ok((SinkState::Foreign, Some(foreign(&newest, &found)))),
                Comparison::Forked { common } => {
                    return Ok((SinkState::Forked, Some(forked(&newest, &found, &common))));
                }
            }
        }
    }

    async fn compare(&mut self) -> Result<Standing, SinkError> {
        let context = self.context.clone();
        let Context { db, health, metrics, .. } = &*context;
        // Before the sink is read: what others publish meanwhile is no loss.
        let published =
            if health.is_seen(&self.name) { 0 } else { publication::published(db, &self.name).await? };
        self.mirror.look().await?;
        let newest = self.mirror.head();
        let found = ledger::end(db).await?;
        metrics.set_entries(&self.name, newest.sequence, found.sequence);
        if found.sequence < newest.sequence {
            // Whatever fails from here on.
            self.find(SinkState::Behind, None).await;
        }
        let comparison = compare(db, &self.mirror, &found).await?;
        if comparison != Comparison::Whole {
            return Ok(Standing::Beside(comparison, found));
        }
        if newest.sequence < published {
            return Ok(Standing::Lost { published });
        }
        // A sink that shrank, or does not answer now, was seen to have more than the database.
        let (longest, known) = health.longest();
        if known != newest && !is_at(db, &known).await? {
            if longest == self.name {
                return Ok(Standing::Shrunk { known });
            }
            health.set(&longest, SinkState::Behind, None);
            context.judge().await;
        }
        Ok(Standing::Beside(comparison, found))
    }

    /// For a while after the database was brought forward: whoever was imported meanwhile, or could not be forgotten again then.
    async fn forget_again(&mut self) -> Result<(), SinkError> {
        let now = Instant::now();
        if self.again_at.iter().any(|due| *due <= now) {
            let origin = Origin::new(BROUGHT_FORWARD);
            let returned = self.context.users.forget_the_returned(&origin).await?;
            if returned > 0 {
                tracing::warn!(
                    sink = self.name,
                    returned,
                    "more users who had been forgotten were back; they are forgotten again"
                );
            }
            let revoked = revocation::revoke_the_returned(&self.context.db, &origin).await?;
            if revoked > 0 {
                tracing::warn!(
                    sink = self.name,
                    revoked,
                    "more access tokens that had been revoked were good again; they are revoked again"
                );
            }
            self.again_at.retain(|due| *due > now);
        }
        Ok(())
    }

    /// Does what is left to do after the database was brought forward.
    async fn settle(&mut self) -> Result<(), SinkError> {
        let db = &self.context.db;
        if self.to_settle.upgrade {
            revocation::record_all(db, &Origin::new(BROUGHT_FORWARD)).await?;
            self.to_settle.upgrade = false;
        }
        if self.to_settle.rotations {
            for undone in ledger::undone_rotations(db).await? {
                tracing::warn!(data_keys = undone.data_keys, "a rotation is undone: {undone}");
            }
            self.to_settle.rotations = false;
        }
        Ok(())
    }
}
