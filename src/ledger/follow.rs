//! Following the erasure ledger: how other servers know whom one of them has forgotten.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr};

use super::{end, erasure::destroyed, verify::Erasures};
use crate::{
    chain::{self, Head, Row},
    entity::erasure,
    envelope::{DataKeyId, SubjectId},
};

/// Most entries read at a time.
const PAGE: u64 = 500;

/// What the ledger has after a place.
#[derive(Debug)]
pub enum News {
    /// Nothing.
    Nothing,
    /// Who was forgotten in the next entries, the oldest first, and the place after them. There may be more.
    Erased(Vec<Erased>, Head),
    /// The ledger does not go on from that place: another one was put there. The place is its end.
    Replaced(Head),
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

/// What the ledger has after a place. One small query, if it is nothing.
///
/// # Errors
///
/// The database's error.
pub async fn after(db: &impl ConnectionTrait, place: &Head) -> Result<News, DbErr> {
    let end = end(db).await?;
    if end == *place {
        return Ok(News::Nothing);
    }
    let entries = chain::page::<Erasures>(db, Some(place.sequence), end.sequence, PAGE).await?;
    Ok(read_on(place, &entries).unwrap_or(News::Replaced(end)))
}

/// The entries, if there are any, and they are what was chained to this place.
fn read_on(place: &Head, entries: &[erasure::Model]) -> Option<News> {
    let mut place = place.clone();
    let mut erased = Vec::with_capacity(entries.len());
    for entry in entries {
        place = entry.link().follow(&place).ok()?;
        if let Some(subject) = entry.subject_id.map(Into::into) {
            let destroyed = destroyed(subject, entry)?;
            erased.push(Erased { subject, erased_at: entry.erased_at, destroyed });
        }
    }
    (!entries.is_empty()).then_some(News::Erased(erased, place))
}
