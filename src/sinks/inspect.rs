use std::{sync::Arc, time::Duration};

use sea_orm::DatabaseConnection;
use tokio::time::timeout;

use super::{
    OpenSinksError, SinkError, SinkState,
    compare::{Comparison, compare},
    mirror::Mirror,
    open::open,
};
use crate::{causes, chain::Head, config::LedgerConfig, ledger};

/// How long a look may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What a command finds in a sink.
#[derive(Debug)]
pub struct Inspection {
    /// The sink.
    pub name: String,
    /// What it is, seen from the database.
    pub state: SinkState,
    /// Where the log in it ends, if it can be read.
    pub head: Option<Head>,
    /// What is wrong.
    pub problem: Option<String>,
}

/// Looks at all sinks, and changes nothing in the database.
///
/// # Errors
///
/// [`OpenSinksError`].
pub async fn inspect(
    config: &LedgerConfig,
    db: &DatabaseConnection,
) -> Result<Vec<Inspection>, OpenSinksError> {
    if config.sinks.is_empty() {
        return Ok(Vec::new());
    }
    let signer = ledger::open_or_create_signer(config)?;
    let policy = Arc::new(ledger::policy(config, &signer)?.1);
    let mut found = Vec::new();
    for (name, sink) in &config.sinks {
        let store = open(sink).map_err(|source| OpenSinksError::Sink { name: name.clone(), source })?;
        let mut mirror = Mirror::new(name.clone(), store, config.origin.clone(), policy.clone());
        let looked = timeout(TIMEOUT, look(db, &mut mirror)).await;
        let (state, problem) = match looked.unwrap_or(Err(SinkError::Slow(TIMEOUT))) {
            Ok(state) => (state, None),
            Err(error @ SinkError::Damaged { .. }) => (SinkState::Damaged, Some(causes::line(&error))),
            Err(error) => (SinkState::Unreachable, Some(causes::line(&error))),
        };
        let head = problem.is_none().then(|| mirror.head());
        found.push(Inspection { name: name.clone(), state, head, problem });
    }
    Ok(found)
}

async fn look(db: &DatabaseConnection, mirror: &mut Mirror) -> Result<SinkState, SinkError> {
    mirror.look().await?;
    Ok(match compare(db, mirror).await?.1 {
        Comparison::Whole => SinkState::Good,
        Comparison::Behind { .. } => SinkState::Behind,
        Comparison::Foreign => SinkState::Foreign,
        Comparison::Forked { .. } => SinkState::Forked,
    })
}
