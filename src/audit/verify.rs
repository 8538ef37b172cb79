use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use strum::EnumIter;
use uuid::Uuid;

use super::{GENESIS_DIGEST, Head, content::Content, digest::digest, head::head};
use crate::entity::{
    audit_event::{Column, Entity, Model},
    audit_event_subject,
};

/// Events that are read together.
const PAGE: u64 = 1000;

/// What a walk over the whole chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The last event that is as it should be, and that all before are.
    pub sound: Head,
    /// The first thing that is wrong.
    pub fault: Option<Fault>,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {sequence} {problem}")]
pub struct Fault {
    /// The place.
    pub sequence: i64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, EnumIter, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The next one is there, or the database's head says so, or the one kept elsewhere.
    #[error("is missing: it was deleted")]
    Missing,
    /// What is stored is not what the digest was taken over.
    #[error("was changed: its digest is not that of what it says")]
    Changed,
    /// It is not found from the subjects that it names, or is from others.
    #[error("is not found from the subjects that it names: its rows in audit_event_subjects were changed")]
    Misindexed,
    /// It names another digest than the one before it has.
    #[error("does not follow the one before it: one of the two was replaced, or moved")]
    Unlinked,
    /// The chain is sound, and another one than that of which the head was kept.
    #[error("is not the one whose digest was kept elsewhere: the trail was written anew")]
    NotTheKept,
    /// The chain is sound, and the head's digest is another.
    #[error("has another digest than the database's head: one of the two was replaced")]
    NotTheHead,
    /// Whoever wrote it did not move the head.
    #[error("is beyond the database's head: it was slipped in, or the head was put back")]
    BeyondTheHead,
    /// The head's row was removed.
    #[error("and all others cannot be told to be complete: the database's head is gone")]
    Headless,
}

impl Problem {
    fn at(self, sequence: i64) -> Fault {
        Fault { sequence, problem: self }
    }

    /// A name for scripts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Misindexed => "misindexed",
            Self::Unlinked => "unlinked",
            Self::NotTheKept => "not_the_kept",
            Self::NotTheHead => "not_the_head",
            Self::BeyondTheHead => "beyond_the_head",
            Self::Headless => "headless",
        }
    }
}

/// Walks the whole chain, in pages, and ends at the first thing that is wrong. Events that are appended meanwhile do
/// not matter. `kept` is a head that was kept elsewhere: it shows what was changed together with the database's own.
///
/// # Errors
///
/// The database's error.
pub async fn verify(db: &impl ConnectionTrait, kept: Option<&Head>) -> Result<Verified, DbErr> {
    let mut walk = Walk { last: Head { sequence: 0, digest: GENESIS_DIGEST.to_vec() }, kept };
    let fault = match head(db).await? {
        Some(head) => walk.to(db, &head).await?,
        None => Some(Problem::Headless.at(1)),
    };
    Ok(Verified { sound: walk.last, fault })
}

struct Walk<'a> {
    /// The last event that is as it should be.
    last: Head,
    kept: Option<&'a Head>,
}

impl Walk<'_> {
    async fn to(&mut self, db: &impl ConnectionTrait, head: &Head) -> Result<Option<Fault>, DbErr> {
        if let Some(fault) = self.is_not_the_kept() {
            return Ok(Some(fault));
        }
        let mut after = None;
        loop {
            let mut select = Entity::find().filter(Column::Sequence.lte(head.sequence));
            if let Some(after) = after {
                select = select.filter(Column::Sequence.gt(after));
            }
            let rows = select.order_by_asc(Column::Sequence).limit(PAGE).all(db).await?;
            let Some(newest) = rows.last() else { break };
            let mut index = index(db, after, newest.sequence).await?;
            after = Some(newest.sequence);
            for row in &rows {
                let indexed = index.remove(&row.sequence).unwrap_or_default();
                if let Some(fault) = self.step(row, &indexed) {
                    return Ok(Some(fault));
                }
            }
            // The chain has no gap: what is left is of no event.
            if let Some(sequence) = index.into_keys().next() {
                return Ok(Some(Problem::Misindexed.at(sequence)));
            }
        }
        let next = self.last.sequence + 1;
        let missing = |last: &Head| self.last.sequence < last.sequence;
        Ok(match () {
            () if missing(head) || self.kept.is_some_and(missing) => Some(Problem::Missing.at(next)),
            () if self.last.digest != head.digest => Some(Problem::NotTheHead.at(self.last.sequence)),
            () => beyond(db).await?,
        })
    }

    /// `indexed` are the subjects that it is found from, beside one of its own.
    fn step(&mut self, row: &Model, indexed: &BTreeSet<Uuid>) -> Option<Fault> {
        let next = self.last.sequence + 1;
        if row.sequence > next {
            return Some(Problem::Missing.at(next));
        }
        if row.sequence < next || row.previous_digest != self.last.digest {
            return Some(Problem::Unlinked.at(row.sequence));
        }
        let content = Content::from(row);
        if !content.is_canonical() || row.digest != digest(row.sequence, &row.previous_digest, &content) {
            return Some(Problem::Changed.at(row.sequence));
        }
        if content.several().collect::<BTreeSet<_>>() != *indexed {
            return Some(Problem::Misindexed.at(row.sequence));
        }
        let last = Head { sequence: row.sequence, digest: row.digest.clone() };
        let sound = std::mem::replace(&mut self.last, last);
        let fault = self.is_not_the_kept();
        if fault.is_some() {
            self.last = sound;
        }
        fault
    }

    fn is_not_the_kept(&self) -> Option<Fault> {
        let kept = self.kept.filter(|kept| kept.sequence == self.last.sequence)?;
        if kept.digest == self.last.digest { None } else { Some(Problem::NotTheKept.at(kept.sequence)) }
    }
}

/// By which subjects the events of a page are found that concern several.
async fn index(
    db: &impl ConnectionTrait,
    after: Option<i64>,
    up_to: i64,
) -> Result<BTreeMap<i64, BTreeSet<Uuid>>, DbErr> {
    use audit_event_subject::{Column, Entity};
    let mut select = Entity::find().filter(Column::Sequence.lte(up_to));
    if let Some(after) = after {
        select = select.filter(Column::Sequence.gt(after));
    }
    let mut index: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for row in select.all(db).await? {
        index.entry(row.sequence).or_default().insert(row.subject_id);
    }
    Ok(index)
}

/// The newest event is read first: the head that is read then is at least that one, unless somebody went by it.
async fn beyond(db: &impl ConnectionTrait) -> Result<Option<Fault>, DbErr> {
    let newest = Entity::find().order_by_desc(Column::Sequence).one(db).await?;
    let Some(head) = head(db).await? else { return Ok(Some(Problem::Headless.at(1))) };
    if newest.is_none_or(|event| event.sequence <= head.sequence) {
        return Ok(None);
    }
    let after = Entity::find().filter(Column::Sequence.gt(head.sequence));
    let first = after.order_by_asc(Column::Sequence).one(db).await?;
    Ok(first.map(|event| Problem::BeyondTheHead.at(event.sequence)))
}
