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
const LOOK: Duration = Duration::from_secs(20);

/// How long a publication may take.
const PUBLISH: Duration = Duration::from_secs(30);

/// Longest pause after a failure.
const PAUSE: Duration = Duration::from_secs(30);

/// Most batches after a look. The next one comes soon.
const BATCHES: usize = 8;

/// One sink, as a server looks at it again and again.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) name: String,
    pub(super) mirror: Mirror,
    pub(super) context: Arc<Context>,
    /// Failures one after another.
    failures: u32,
    /// When it was last stored that the sink was reached.
    stored: Option<Instant>,
    /// How far the database is known to know that entries were published here.
    published: Option<i64>,
    /// What the log says about it.
    said: Option<String>,
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

impl Watch {
    pub(super) fn new(name: String, mirror: Mirror, context: Arc<Context>) -> Self {
        Self { name, mirror, context, failures: 0, stored: None, published: None, said: None }
    }

    /// Looks again and again.
    pub(super) async fn keep(&mut self) {
        let mut ticks = interval(self.context.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
            if self.failures > 0 {
                let pause = self.context.poll_interval.saturating_mul(1 << self.failures.min(16));
                sleep(pause.min(PAUSE)).await;
            }
        }
    }

    /// Looks once, and does what follows.
    pub(super) async fn look(&mut self) {
        let (state, problem) = match self.try_to_look().await {
            Ok(found) => found,
            Err(error @ SinkError::Damaged { .. }) => (SinkState::Damaged, Some(causes::line(&error))),
            Err(error) => (SinkState::Unreachable, Some(causes::line(&error))),
        };
        if let Ok(end) = ledger::end(&self.context.db).await {
            self.context.metrics.set_entries(&self.name, self.mirror.head().sequence, end.sequence);
        }
        self.failures = if state == SinkState::Good { 0 } else { self.failures.saturating_add(1) };
        self.find(state, None).await;
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
        users.ledger_is_at_least(health.longest());
        metrics.set_good(&self.name, state == SinkState::Good);
        self.context.judge().await;
    }

    async fn try_to_look(&mut self) -> Result<Found, SinkError> {
        let context = self.context.clone();
        let db = &context.db;
        loop {
            let looked = timeout(LOOK, self.compare()).await;
            let (found, comparison) = looked.unwrap_or(Err(SinkError::Slow(LOOK)))?;
            let newest = self.mirror.head();
            match comparison {
                Comparison::Whole => {
                    if !context.health.is_seen(&self.name) {
                        let published = publication::published(db, &self.name).await?;
                        if newest.sequence < published {
                            return Ok((SinkState::Lost, Some(lost(&newest, published))));
                        }
                    }
                    let is_good = self.failures == 0;
                    let state = if is_good { SinkState::Good } else { SinkState::Unwritable };
                    self.find(state, Some(newest)).await;
                    return self.after_a_good_look(&found).await;
                }
                Comparison::Behind { common } => {
                    self.find(SinkState::Behind, Some(newest)).await;
                    // As long as it takes: each call has its own limit.
                    self.bring_forward(&found, &common).await?;
                }
                Comparison::Foreign => return Ok((SinkState::Foreign, Some(foreign(&newest, &found)))),
                Comparison::Forked { common } => {
                    return Ok((SinkState::Forked, Some(forked(&newest, &found, &common))));
                }
            }
        }
    }

    async fn compare(&mut self) -> Result<(Head, Comparison), SinkError> {
        self.mirror.look().await?;
        let found = ledger::end(&self.context.db).await?;
        if found.sequence < self.mirror.head().sequence {
            // Whatever fails from here on.
            self.find(SinkState::Behind, None).await;
        }
        let comparison = compare(&self.context.db, &self.mirror, &found).await?;
        Ok((found, comparison))
    }

    /// The database is whole. A sink that does not take what is published is no reason to doubt that.
    async fn after_a_good_look(&mut self, found: &Head) -> Result<Found, SinkError> {
        self.remember().await?;
        let published = timeout(PUBLISH, self.publish(found)).await.unwrap_or(Err(SinkError::Slow(PUBLISH)));
        match published {
            // Whoever came first has published what is there.
            Ok(()) | Err(SinkError::Overtaken) => Ok((SinkState::Good, None)),
            Err(error) => Ok((
                SinkState::Unwritable,
                Some(format!("the newest entries are not published: {}", causes::line(&error))),
            )),
        }
    }

    /// Publishes what the sink does not have, if it is this server's turn.
    async fn publish(&mut self, found: &Head) -> Result<(), SinkError> {
        let context = self.context.clone();
        let Context { db, signer, health, server, .. } = &*context;
        for _ in 0..BATCHES {
            let from = self.mirror.head();
            if self.mirror.is_laid() && from.sequence >= found.sequence {
                return Ok(());
            }
            if !health.may_publish() {
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
            if !is_at(db, &health.longest()).await? {
                return Err(SinkError::Overtaken);
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
