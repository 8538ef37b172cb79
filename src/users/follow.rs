//! Following the erasure ledger: how other servers know whom one of them has forgotten.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use tokio::time::timeout;

use super::{Users, ledger};
use crate::{
    causes,
    entity::erasure,
    envelope::{DataKeyId, SubjectId},
};

/// The channel of PostgreSQL on which whoever has forgotten somebody says so. The message is empty: what there
/// is to know stands in the ledger.
pub const ERASURES_CHANNEL: &str = "oubliette_erasures";

/// How long saying so may take. Nothing depends on it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Most entries read at a time.
const PAGE: u64 = 500;

/// A place in the ledger: right after an entry, or before the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerPlace {
    pub(super) sequence: i64,
    pub(super) digest: Vec<u8>,
}

impl LedgerPlace {
    /// The entry's number; 0 before the first.
    #[must_use]
    pub fn sequence(&self) -> i64 {
        self.sequence
    }

    /// The entry's digest.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }
}

/// What the ledger has after a place.
#[derive(Debug)]
pub enum LedgerNews {
    /// Nothing.
    Nothing,
    /// These entries, the oldest first, and the place after them. There may be more.
    Erased(Vec<Erased>, LedgerPlace),
    /// The ledger does not go on from that place: another one was put there. The place is its end.
    Replaced(LedgerPlace),
}

/// Who was forgotten, when, and which data keys were destroyed.
#[derive(Debug)]
pub struct Erased {
    /// Who.
    pub subject: SubjectId,
    /// When.
    pub erased_at: DateTime<Utc>,
    /// Which data keys.
    pub destroyed: Vec<DataKeyId>,
}

impl Users {
    /// The end of the ledger.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn ledger_end(&self) -> Result<LedgerPlace, DbErr> {
        ledger::end(&self.db).await
    }

    /// What the ledger has after a place. One small query, if it is nothing.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn ledger_after(&self, place: &LedgerPlace) -> Result<LedgerNews, DbErr> {
        let end = ledger::end(&self.db).await?;
        if end == *place {
            return Ok(LedgerNews::Nothing);
        }
        let entries = erasure::Entity::find()
            .filter(erasure::Column::Sequence.gt(place.sequence))
            .filter(erasure::Column::Sequence.lte(end.sequence))
            .order_by_asc(erasure::Column::Sequence)
            .limit(PAGE)
            .all(&self.db)
            .await?;
        Ok(read_on(place, entries).unwrap_or(LedgerNews::Replaced(end)))
    }

    /// Tells other servers that the ledger has grown, where the database can pass it on.
    ///
    /// In a statement of its own, after the commit: within the transaction, a database that speaks
    /// PostgreSQL's protocol and knows no `NOTIFY` would refuse to forget.
    pub(super) async fn announce_erasure(&self) {
        if !self.announcing || self.db.get_database_backend() != DbBackend::Postgres {
            return;
        }
        let statement = format!("NOTIFY {ERASURES_CHANNEL}");
        match timeout(PATIENCE, self.db.execute_unprepared(&statement)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!("other servers are not notified: {}", causes::line(&error)),
            Err(_) => tracing::debug!("other servers are not notified: the database took too long"),
        }
    }
}

/// The entries, if there are any, and they are what was chained to this place.
fn read_on(place: &LedgerPlace, entries: Vec<erasure::Model>) -> Option<LedgerNews> {
    let mut place = place.clone();
    let mut erased = Vec::with_capacity(entries.len());
    for entry in entries {
        let destroyed = ledger::check(&place, &entry)?;
        erased.push(Erased { subject: entry.subject_id.into(), erased_at: entry.erased_at, destroyed });
        place = LedgerPlace { sequence: entry.sequence, digest: entry.digest };
    }
    (!erased.is_empty()).then_some(LedgerNews::Erased(erased, place))
}
