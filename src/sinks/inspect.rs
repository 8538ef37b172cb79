use std::{sync::Arc, time::Duration};

use futures::future::try_join_all;
use oubliette_ledger::{Receipt, SignedCheckpoint};
use sea_orm::DatabaseConnection;
use tokio::time::timeout;

use super::{
    OpenSinksError, SinkError, SinkHealth, SinkState,
    compare::{Comparison, compare},
    mirror::{Consistency, CopyError, Mirror},
    open::open,
};
use crate::{
    causes,
    chain::Head,
    config::{LedgerConfig, SinkConfig},
    ledger::{self, Erasure, KeyFileError, OpenSignerError, Signer, publication},
};

/// How long a look may take.
const LOOK: Duration = Duration::from_secs(20);

/// What a command finds in the sinks. It changes nothing.
#[derive(Debug)]
pub struct Inspection {
    /// Each of them, by name.
    pub sinks: Vec<InspectedSink>,
    /// Whether people can be answered about: as a server would decide that is started now.
    pub is_trusted: bool,
}

/// What a command finds in a sink.
#[derive(Debug)]
pub struct InspectedSink {
    /// The sink.
    pub name: String,
    /// What it is, seen from the database.
    pub state: SinkState,
    /// Where the log in it ends, if it can be read.
    pub head: Option<Head>,
    /// What is wrong.
    pub problem: Option<String>,
    /// If it is forked: where both histories are the same.
    pub fork: Option<Fork>,
    mirror: Mirror,
}

/// Two histories that were both signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Where both are the same.
    pub common: Head,
    /// Where the database's ends.
    pub database: Head,
}

/// Looks at all sinks.
///
/// # Errors
///
/// [`OpenSinksError`]; [`SinkError::Database`].
pub async fn inspect(config: &LedgerConfig, db: &DatabaseConnection) -> Result<Inspection, InspectError> {
    let health = SinkHealth::new(config);
    health.reached_before(publication::reached_at(db).await.map_err(SinkError::from)?);
    let signer = match ledger::open_signer(config).await {
        Ok(signer) => Some(signer),
        // It signs on other machines.
        Err(OpenSignerError::File(KeyFileError::Missing(_)) | OpenSignerError::NotConfigured) => None,
        Err(error) => return Err(OpenSinksError::from(error).into()),
    };
    let policy = Arc::new(
        ledger::policy(config, signer.as_ref().map(Signer::public)).map_err(OpenSinksError::from)?.1,
    );
    let sinks = try_join_all(config.sinks.iter().map(async |(name, sink)| {
        let store = open(sink).map_err(|source| OpenSinksError::Sink { name: name.clone(), source })?;
        let mut mirror = Mirror::new(name.clone(), store, config.origin.clone(), policy.clone());
        let looked = timeout(LOOK, look(db, name, &mut mirror)).await;
        let (state, problem, fork) = match looked.unwrap_or(Err(SinkError::Slow(LOOK))) {
            Ok(Seen { state, problem, fork }) => (state, problem, fork),
            Err(error) => (error.state(), Some(causes::line(&error)), None),
        };
        health.set(name, state, None);
        let is_read = !matches!(state, SinkState::Damaged | SinkState::Unreachable);
        let head = is_read.then(|| mirror.head());
        Ok::<_, OpenSinksError>(InspectedSink { name: name.clone(), state, head, problem, fork, mirror })
    }))
    .await?;
    Ok(Inspection { sinks, is_trusted: health.is_trusted() })
}

/// A command cannot look at the sinks.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// They cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenSinksError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] SinkError),
}

impl Inspection {
    /// The receipt of an entry, by the first sink that has it.
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub async fn receipt(&self, erasure: &Erasure) -> Result<Option<Receipt>, SinkError> {
        for sink in self.sinks.iter().filter(|sink| sink.state.is_whole()) {
            if let Some(receipt) = sink.mirror.receipt(erasure).await? {
                return Ok(Some(receipt));
            }
        }
        Ok(None)
    }
}

impl Inspection {
    /// Copies the log of a sink to another place, verified: of this one, or of the first that is whole. Gives its name, and how many entries were
    /// copied.
    ///
    /// # Errors
    ///
    /// [`CopyError`]; what was copied stays.
    pub async fn copy(&self, from: Option<&str>, to: &SinkConfig) -> Result<(&str, u64), CopyError> {
        let is_it = |sink: &&InspectedSink| match from {
            Some(name) => sink.name == name && sink.head.is_some(),
            None => sink.state.is_whole(),
        };
        let source = self.sinks.iter().find(is_it).ok_or(CopyError::NoSource)?;
        Ok((&source.name, source.mirror.copy_to(open(to).map_err(SinkError::from)?).await?))
    }

    /// What the first log that can tell is to an older one, and its sink.
    ///
    /// # Errors
    ///
    /// [`SinkError`], if none of them can, and one failed.
    pub async fn consistency(
        &self,
        old: &SignedCheckpoint,
    ) -> Result<Option<(&str, Consistency)>, SinkError> {
        let mut failed = None;
        for sink in self.sinks.iter().filter(|sink| sink.problem.is_none()) {
            match sink.mirror.consistency(old).await {
                Ok(Some(consistency)) => return Ok(Some((&sink.name, consistency))),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }
}

/// What a look has found.
struct Seen {
    state: SinkState,
    problem: Option<String>,
    fork: Option<Fork>,
}

impl From<SinkState> for Seen {
    fn from(state: SinkState) -> Self {
        Self { state, problem: None, fork: None }
    }
}

async fn look(db: &DatabaseConnection, name: &str, mirror: &mut Mirror) -> Result<Seen, SinkError> {
    // Before the sink is read: what is published meanwhile is no loss.
    let published = publication::published(db, name).await?;
    mirror.look().await?;
    let found = ledger::end(db).await?;
    let newest = mirror.head().sequence;
    Ok(match compare(db, mirror, &found).await {
        Ok(Comparison::Whole) if newest < published => SinkState::Lost.into(),
        Ok(Comparison::Whole) => SinkState::Good.into(),
        Ok(Comparison::Foreign) => SinkState::Foreign.into(),
        Ok(Comparison::Forked { common }) => {
            Seen { fork: Some(Fork { common, database: found }), ..SinkState::Forked.into() }
        }
        Ok(Comparison::Behind { .. }) => SinkState::Behind.into(),
        // Whatever it was that failed.
        Err(error) if newest > found.sequence => {
            Seen { problem: Some(causes::line(&error)), ..SinkState::Behind.into() }
        }
        Err(error) => return Err(error),
    })
}
