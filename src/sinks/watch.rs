use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use oubliette_ledger::mirror::{Edge, MAX_BATCH};
use sea_orm::DatabaseConnection;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use uuid::Uuid;

use super::{
    SinkError, SinkHealth, SinkMetrics, SinkState,
    compare::{Comparison, compare, is_at},
    mirror::Mirror,
    pauses::Pauses,
};
use crate::{
    causes,
    chain::Head,
    database::{now, on_the_primary},
    keys::Keyring,
    ledger::{self, Signer, publication},
    users::{LedgerWatcher, Users},
};

/// How long a look at a sink may take. One that hangs must not be the last one.
const LOOK: Duration = Duration::from_secs(15);

/// How long a publication may take.
const PUBLISH: Duration = Duration::from_secs(30);

/// Longest pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// The same if it was the database's.
const SHORT_PAUSE: Duration = Duration::from_millis(500);

/// How long bringing the database forward may take, before it begins with what is left.
const FORWARD: Duration = Duration::from_mins(10);

/// When those are looked for who came in while the database was brought forward: a change that was under way has ended by the last one.
const AGAIN: [Duration; 3] = [Duration::ZERO, Duration::from_secs(10), Duration::from_mins(2)];

/// Most batches after a look. The next one comes soon.
const BATCHES: usize = 8;

/// One sink, as a server looks at it again and again.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) name: String,
    pub(super) mirror: Mirror,
    pub(super) context: Arc<Context>,
    /// Looks that failed.
    failures: Pauses,
    /// Publications that the sink did not take: it is looked at all the same.
    refusals: Pauses,
    /// When it was last stored that the sink was reached.
    stored: Option<Instant>,
    /// How far the database is known to know that entries were published here.
    published: Option<i64>,
    /// What the log says about it.
    said: Option<String>,
    /// When those are looked for who were forgotten and are back.
    again_at: Vec<Instant>,
}

/// What all sinks share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) db: DatabaseConnection,
    pub(super) users: Users,
    pub(super) keyring: Keyring,
    pub(super) signer: Signer,
    pub(super) health: SinkHealth,
    pub(super) metrics: SinkMetrics,
    pub(super) poll_interval: Duration,
    /// This server, among those that publish.
    pub(super) server: Uuid,
    /// Whether each sink was looked at once: nobody is answered before.
    pub(super) has_begun: AtomicBool,
}

/// What a look has found, and what is to be said about it.
type Found = (SinkState, Option<String>);

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
                let is_damage = matches!(error, SinkError::Damaged { .. });
                let state = if is_damage { SinkState::Damaged } else { SinkState::Unreachable };
                (state, Some(causes::line(&error)))
            }
        };
        if state.is_whole() || self.mirror.head().sequence > before {
            self.failures = Pauses::default();
        } else {
            self.failures.one_more(self.context.poll_interval, longest);
        }
        self.find(state, None).await;
        self.say(state, problem);
    }

    fn longest_pause(&self) -> Duration {
        PAUSE.min(self.context.health.longest_pause())
    }

    /// Once, as long as it stays the same.
    fn say(&mut self, state: SinkState, problem: Option<String>) {
        let sink = &self.name;
        // How long something took is no news.
        let said = problem.as_ref().map(|problem| problem.replace(|char: char| char.is_ascii_digit(), ""));
        match (&problem, &self.said) {
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
    async fn find(&self, state: SinkState, head: Option<Head>) {
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
                    let is_refused = self.refusals.count > 0;
                    let state = if is_refused { SinkState::Unwritable } else { SinkState::Good };
                    self.find(state, Some(newest)).await;
                    return self.after_a_good_look(&found).await;
                }
                Comparison::Behind { common } => {
                    self.find(SinkState::Behind, Some(newest)).await;
                    let forwarded = timeout(FORWARD, self.bring_forward(&found, &common)).await;
                    forwarded.unwrap_or(Err(SinkError::Slow(FORWARD)))?;
                    let now = Instant::now();
                    self.again_at = AGAIN.iter().map(|after| now + *after).collect();
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
        if !is_at(db, &known).await? {
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
            let returned = self.context.users.forget_the_returned().await?;
            if returned > 0 {
                tracing::warn!(
                    sink = self.name,
                    returned,
                    "more users who had been forgotten were back; they are forgotten again"
                );
            }
            self.again_at.retain(|due| *due > now);
        }
        Ok(())
    }

    /// The database is whole. A sink that does not take what is published is no reason to doubt that.
    async fn after_a_good_look(&mut self, found: &Head) -> Result<Found, SinkError> {
        timeout(LOOK, self.remember()).await.unwrap_or(Err(SinkError::Slow(LOOK)))?;
        if let Some(problem) = self.refusals.problem.clone().filter(|_| !self.refusals.left().is_zero()) {
            return Ok((SinkState::Unwritable, Some(problem)));
        }
        let published = timeout(PUBLISH, self.publish(found)).await.unwrap_or(Err(SinkError::Slow(PUBLISH)));
        match published {
            // Whoever came first has published what is there.
            Ok(()) | Err(SinkError::Overtaken) => {
                self.refusals = Pauses::default();
                let end = self.mirror.head().sequence;
                self.context.metrics.set_entries(&self.name, end, found.sequence);
                Ok((SinkState::Good, None))
            }
            Err(error) => {
                let problem = format!("the newest entries are not published: {}", causes::line(&error));
                self.refusals.one_more(self.context.poll_interval, self.longest_pause());
                self.refusals.problem = Some(problem.clone());
                Ok((SinkState::Unwritable, Some(problem)))
            }
        }
    }

    /// Publishes what the sink does not have, if it is this server's turn.
    async fn publish(&mut self, found: &Head) -> Result<(), SinkError> {
        let context = self.context.clone();
        let Context { db, users, signer, health, server, .. } = &*context;
        for _ in 0..BATCHES {
            let from = self.mirror.head();
            if self.mirror.is_laid() && from.sequence >= found.sequence {
                return Ok(());
            }
            if !health.may_publish() || !users.is_ledger_trusted_by(LedgerWatcher::Peers) {
                return Err(SinkError::Waiting);
            }
            if !on_the_primary(db, || publication::claim(db, &self.name, *server)).await? {
                return Ok(());
            }
            if !self.mirror.is_laid() {
                self.mirror.lay().await?;
                continue;
            }
            let texts = ledger::texts_after(db, &from, found, MAX_BATCH).await?;
            let texts = texts.map_err(|fault| SinkError::Ledger(fault.text(ledger::words())))?.texts;
            let long = texts.iter().position(|text| text.len() > Edge::max_length());
            if let Some(place) = long.and_then(|place| i64::try_from(place).ok()) {
                return Err(SinkError::Ledger(format!("entry {} is too long", from.sequence + 1 + place)));
            }
            if texts.is_empty() {
                return Err(SinkError::Ledger(format!("entry {} is missing", from.sequence + 1)));
            }
            // Read after the entries: a database that went back before they were read does not have this one any more.
            if !is_at(db, &health.longest().1).await? {
                return Err(SinkError::Waiting);
            }
            self.mirror.publish(texts, signer).await?;
            self.find(SinkState::Good, Some(self.mirror.head())).await;
            self.remember().await?;
        }
        Ok(())
    }

    /// How far was published, for those who start later; and now and then when a sink was reached, for those who start when none can be.
    async fn remember(&mut self) -> Result<(), SinkError> {
        let Context { db, health, .. } = &*self.context;
        let newest = self.mirror.head().sequence;
        if self.published.is_none_or(|published| published < newest) {
            publication::set_published(db, &self.name, newest).await?;
            self.published = Some(newest);
        }
        if self.stored.is_none_or(|stored| stored.elapsed() >= health.store_every()) {
            publication::set_reached(db, now()).await?;
            self.stored = Some(Instant::now());
        }
        Ok(())
    }
}

impl Context {
    /// Answers about people, or does not any more.
    pub(super) async fn judge(&self) {
        let Self { users, keyring, health, has_begun, .. } = self;
        if !has_begun.load(Ordering::Acquire) {
            return;
        }
        let is_trusted = health.is_trusted();
        self.metrics.set_trusted(is_trusted);
        if users.trust_ledger(LedgerWatcher::Sinks, is_trusted) {
            if is_trusted {
                tracing::info!("the database is at one with the ledger outside; personal data is answered");
            } else {
                // Whom it does not name cannot be told; nor whether a key still fits.
                keyring.evict_all().await;
                tracing::error!(
                    "nothing personal is answered: the database is not at one with the ledger outside"
                );
            }
        }
    }
}

fn lost(newest: &Head, published: i64) -> String {
    format!(
        "the sink lacks entries: it ends at {newest}, and {published} were published to it; put it back, or give it another name in the configuration, and it is \
         filled anew"
    )
}

fn shrunk(newest: &Head, known: &Head) -> String {
    format!(
        "sink and database both lack entries: the sink ended at {known}, and ends at {newest}; put the sink back as it was, or a newer backup of the database"
    )
}

fn foreign(newest: &Head, found: &Head) -> String {
    format!(
        "the sink has another ledger than the database: it ends at {newest}, and the database at {found}, and nothing of the two is the same; see \
         docs/erasure.md#a-sink-with-another-history"
    )
}

fn forked(newest: &Head, found: &Head, common: &Head) -> String {
    format!(
        "the ledger has two histories that were both signed: the sink's ends at {newest}, and the database's at {found}; they are the same up to entry {}; see \
         docs/erasure.md#a-sink-with-another-history",
        common.sequence
    )
}
