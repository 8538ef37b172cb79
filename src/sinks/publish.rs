use std::time::{Duration, Instant};

use oubliette_ledger::{
    Entry,
    mirror::{Edge, MAX_BATCH},
};
use tokio::time::timeout;

use super::{
    SinkError, SinkState,
    compare::is_at,
    context::Context,
    pauses::Pauses,
    watch::{Found, LOOK, Watch},
};
use crate::{
    causes,
    chain::Head,
    database::{now, on_the_primary},
    ledger::{self, publication},
    users::LedgerWatcher,
};

/// How long a publication may take.
const PUBLISH: Duration = Duration::from_secs(30);

/// Most batches after a look. The next one comes soon.
const BATCHES: usize = 8;

impl Watch {
    /// The database is whole. A sink that does not take what is published is no reason to doubt that.
    pub(super) async fn after_a_good_look(&mut self, found: &Head) -> Result<Found, SinkError> {
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

    /// Looks for the last time.
    pub(super) async fn finish(&mut self) {
        self.look().await;
        let Context { db, server, .. } = &*self.context;
        if let Err(error) = publication::release(db, &self.name, *server).await {
            tracing::debug!(sink = self.name, "others publish in a few seconds: {}", causes::line(&error));
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
            let texts = texts.map_err(|fault| SinkError::Ledger(fault.text(ledger::words())))?;
            let long = texts.iter().position(|text| text.len() > Edge::max_length());
            if let Some(place) = long.and_then(|place| i64::try_from(place).ok()) {
                return Err(SinkError::Ledger(format!("entry {} is too long", from.sequence + 1 + place)));
            }
            // Nobody brings in what cannot be read.
            if let Some(place) = texts.iter().position(|text| text.parse::<Entry>().is_err()) {
                let place = i64::try_from(place).unwrap_or_default();
                return Err(SinkError::Ledger(format!("entry {} cannot be read", from.sequence + 1 + place)));
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
        if self.stored.is_none_or(|stored| stored.elapsed() >= health.at_least_every()) {
            publication::set_reached(db, now()).await?;
            self.stored = Some(Instant::now());
        }
        Ok(())
    }
}
