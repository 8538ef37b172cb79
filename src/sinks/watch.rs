use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use oubliette_ledger::{
    LocalSigner,
    mirror::{MAX_BATCH, WIDTH},
};
use sea_orm::DatabaseConnection;
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use super::{
    OpenSinksError, SinkError, SinkHealth, SinkMetrics, SinkState,
    compare::{Comparison, compare},
    mirror::Mirror,
    open::open,
};
use crate::{
    audit::{self, Action, NewEvent, Origin},
    causes,
    chain::Head,
    config::LedgerConfig,
    database::{begin_write, now, on_the_primary},
    keys::Keyring,
    ledger::{self, publication},
    users::{LedgerWatcher, Users},
};

/// How long a look at a sink, and what follows of it, may take. One that hangs must not be the last one.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Longest pause after a failure.
const PAUSE: Duration = Duration::from_secs(30);

/// Most entries that come in together, if none has to move.
const TOGETHER: i64 = 10_000;

/// Who forgets again, in the audit trail.
const REPLAY: &str = "system:sinks";

/// All sinks of a server.
#[derive(Debug, Default)]
pub struct Sinks(Vec<Watch>);

/// One of them.
#[derive(Debug)]
struct Watch {
    name: String,
    mirror: Mirror,
    context: Arc<Context>,
    /// Failures one after another.
    failures: u32,
    /// When it was last stored that the sink was reached.
    stored: Option<Instant>,
    /// What the log says about it.
    said: Option<String>,
}

/// What all of them share.
#[derive(Debug)]
struct Context {
    db: DatabaseConnection,
    users: Users,
    keyring: Keyring,
    signer: LocalSigner,
    health: SinkHealth,
    metrics: SinkMetrics,
    poll_interval: Duration,
    /// This server, among those that publish.
    server: Uuid,
}

impl Sinks {
    /// Opens those that are configured, and the key that signs.
    ///
    /// # Errors
    ///
    /// [`OpenSinksError`].
    pub fn open(
        config: &LedgerConfig,
        db: DatabaseConnection,
        users: Users,
        keyring: Keyring,
        health: SinkHealth,
        metrics: SinkMetrics,
    ) -> Result<Self, OpenSinksError> {
        if config.sinks.is_empty() {
            return Ok(Self::default());
        }
        let signer = ledger::open_or_create_signer(config)?;
        let policy = Arc::new(ledger::policy(config, &signer)?.1);
        let (poll_interval, server) = (config.poll_interval, Uuid::new_v4());
        let context =
            Arc::new(Context { db, users, keyring, signer, health, metrics, poll_interval, server });
        let watches = config.sinks.iter().map(|(name, sink)| {
            let store = open(sink).map_err(|source| OpenSinksError::Sink { name: name.clone(), source })?;
            let mirror = Mirror::new(name.clone(), store, config.origin.clone(), policy.clone());
            let context = context.clone();
            Ok(Watch { name: name.clone(), mirror, context, failures: 0, stored: None, said: None })
        });
        Ok(Self(watches.collect::<Result<_, OpenSinksError>>()?))
    }

    /// Looks at each sink once: before anybody is answered about.
    pub async fn begin(&mut self) {
        let Some(watch) = self.0.first() else { return };
        let Context { db, health, .. } = &*watch.context;
        match publication::reached_at(db).await {
            Ok(at) => health.reached_before(at),
            Err(error) => {
                tracing::warn!("it is not known when a sink was last reached: {}", causes::line(&error))
            }
        }
        self.look().await;
    }

    /// Looks at the sinks again and again, each at its own pace, for as long as the future is polled.
    pub async fn watch(&mut self) {
        join_all(self.0.iter_mut().map(Watch::keep)).await;
    }

    /// Looks at each sink once more: what was forgotten last is published before a server ends.
    pub async fn look(&mut self) {
        join_all(self.0.iter_mut().map(Watch::look)).await;
    }
}

impl Watch {
    async fn keep(&mut self) {
        let mut ticks = interval(self.context.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
            if self.failures > 0 {
                tokio::time::sleep(
                    self.context.poll_interval.saturating_mul(1 << self.failures.min(16)).min(PAUSE),
                )
                .await;
            }
        }
    }

    async fn look(&mut self) {
        let looked = timeout(TIMEOUT, self.try_to_look()).await.unwrap_or(Err(SinkError::Slow(TIMEOUT)));
        let (state, problem) = match looked {
            Ok((state, problem)) => (state, problem),
            Err(SinkError::Overtaken) => return,
            Err(error @ SinkError::Damaged { .. }) => (SinkState::Damaged, Some(causes::line(&error))),
            Err(error) => (SinkState::Unreachable, Some(causes::line(&error))),
        };
        self.failures = if state == SinkState::Good { 0 } else { self.failures.saturating_add(1) };
        self.conclude(state, problem).await;
    }

    /// What a look has found is known, and said once.
    async fn conclude(&mut self, state: SinkState, problem: Option<String>) {
        let Context { health, metrics, .. } = &*self.context;
        health.set(&self.name, state);
        metrics.set_good(&self.name, state == SinkState::Good);
        self.judge().await;
        let sink = &self.name;
        match (&problem, &self.said) {
            (Some(problem), said) if said.as_ref() != Some(problem) => match state {
                SinkState::Foreign | SinkState::Forked => tracing::error!(sink, "{problem}"),
                _ => tracing::warn!(sink, "{problem}"),
            },
            (None, Some(_)) => tracing::info!(sink, "the sink is good again"),
            _ => {}
        }
        self.said = problem;
    }

    /// Answers about people, or does not any more.
    async fn judge(&self) {
        let Context { users, keyring, health, .. } = &*self.context;
        let is_trusted = health.is_trusted();
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

    async fn try_to_look(&mut self) -> Result<(SinkState, Option<String>), SinkError> {
        self.mirror.look().await?;
        let context = self.context.clone();
        let Context { db, users, .. } = &*context;
        users.ledger_is_at_least(&self.mirror.head());
        loop {
            let (found, comparison) = compare(db, &mut self.mirror).await?;
            match comparison {
                Comparison::Whole => {
                    let end = self.publish(&found).await?;
                    self.remember_to_have_been_here().await?;
                    context.metrics.set_entries(&self.name, self.mirror.head().sequence, end.sequence);
                    return Ok((SinkState::Good, None));
                }
                Comparison::Behind { common } => {
                    context.health.set(&self.name, SinkState::Behind);
                    context.metrics.set_good(&self.name, false);
                    self.judge().await;
                    self.bring_forward(&found, &common).await?;
                }
                Comparison::Foreign => {
                    return Ok((
                        SinkState::Foreign,
                        Some(format!(
                            "the sink has another ledger than the database: it ends at {}, and the database at {found}, and nothing of the two is the same; see \
                         docs/erasure.md#a-sink-with-another-history",
                            self.mirror.head()
                        )),
                    ));
                }
                Comparison::Forked { common } => {
                    return Ok((
                        SinkState::Forked,
                        Some(format!(
                            "the ledger has two histories that were both signed: the sink's ends at {}, and the database's at {found}; they are the same up to \
                         entry {}; see docs/erasure.md#a-sink-with-another-history",
                            self.mirror.head(),
                            common.sequence
                        )),
                    ));
                }
            }
        }
    }

    /// Publishes what the sink does not have, if it is this server's turn. Gives where the database ends.
    async fn publish(&mut self, found: &Head) -> Result<Head, SinkError> {
        let Context { db, signer, server, .. } = &*self.context;
        if self.mirror.is_laid() && self.mirror.head() == *found {
            return Ok(found.clone());
        }
        while on_the_primary(db, || publication::claim(db, *server)).await? {
            if !self.mirror.is_laid() {
                self.mirror.lay().await?;
            }
            let from = self.mirror.head();
            let end = ledger::end(db).await?;
            if from == end {
                return Ok(end);
            }
            let texts = ledger::texts_after(db, &from, &end, MAX_BATCH).await?;
            let texts = texts.map_err(|fault| SinkError::Ledger(fault.text(ledger::words())))?;
            if texts.texts.is_empty() {
                return Err(SinkError::Ledger(format!("entry {} is missing", from.sequence + 1)));
            }
            self.mirror.publish(texts.texts, signer).await?;
            publication::set_signed(db, self.mirror.head().sequence).await?;
            self.context.users.ledger_is_at_least(&self.mirror.head());
        }
        Ok(found.clone())
    }

    /// Now and then, for those who start when no sink can be reached.
    async fn remember_to_have_been_here(&mut self) -> Result<(), SinkError> {
        let Context { db, health, .. } = &*self.context;
        if self.stored.is_none_or(|stored| stored.elapsed() >= health.store_every()) {
            publication::set_reached(db, now()).await?;
            self.stored = Some(Instant::now());
        }
        Ok(())
    }

    /// Forgets again whom the sink says were forgotten, and brings these entries in: in this order, so that a database that is whole
    /// has nobody who is in them.
    async fn bring_forward(&mut self, found: &Head, common: &Head) -> Result<(), SinkError> {
        let Context { db, users, metrics, .. } = &*self.context;
        let newest = self.mirror.head();
        // If own entries have to move, all come at once: nobody finds a ledger without them.
        let last =
            if found == common { newest.sequence.min(common.sequence + TOGETHER) } else { newest.sequence };
        let mut texts = Vec::new();
        let width = i64::try_from(WIDTH).unwrap_or(i64::MAX);
        for number in common.sequence / width..=(last - 1) / width {
            let first = number * width;
            let of_tile = self.mirror.entries(u64::try_from(number).unwrap_or_default()).await?;
            let wanted =
                (first + 1..).zip(of_tile).filter(|(place, _)| (common.sequence + 1..=last).contains(place));
            texts.extend(wanted.map(|(_, text)| text));
        }
        let subjects = texts.iter().map(|text| ledger::subject_of(text)).collect::<Result<Vec<_>, _>>();
        let subjects = subjects.map_err(ledger::ForwardError::from)?;
        let origin = Origin::new(REPLAY);
        let returned = users.forget_again(&subjects, &origin).await?;
        let transaction = begin_write(db).await?;
        let Some(forwarded) = ledger::bring_forward(&transaction, found, common, &texts).await? else {
            transaction.rollback().await?;
            return Ok(());
        };
        let event =
            NewEvent::new(&origin, Action::LedgerReplay).target(format!("{}-{last}", common.sequence + 1));
        audit::append(&transaction, [&event]).await?;
        transaction.commit().await?;
        metrics.replayed(texts.len());
        tracing::warn!(
            sink = self.name,
            entries = texts.len(),
            forgotten_again = returned,
            moved = forwarded.moved,
            "the database was behind the ledger outside, as after a restored backup or a failover; it was brought forward to {}",
            forwarded.head
        );
        Ok(())
    }
}
