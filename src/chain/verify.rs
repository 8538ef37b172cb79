use sea_orm::{ConnectionTrait, DbErr};

use super::{
    ChainFault, Entry, Head, Link, Problem, Row, Table, Words,
    table::{head, newest, page},
};

/// Entries that are read together.
const PAGE: u64 = 1000;

/// What a walk over a whole chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The last entry that is as it should be, and that all before are.
    pub sound: Head,
    /// The first thing that is wrong.
    pub fault: Option<ChainFault>,
    /// What people call the chain.
    pub words: &'static Words,
}

/// Walks a whole chain, in pages, and ends at the first thing that is wrong. Entries that are appended meanwhile do
/// not matter. `kept` is a head that was kept elsewhere: it shows what was changed together with the database's own.
///
/// # Errors
///
/// The database's error.
pub(crate) async fn verify<T: Table>(
    db: &impl ConnectionTrait,
    kept: Option<&Head>,
) -> Result<Verification, DbErr> {
    let mut walk = Walk { last: Head::genesis(), kept };
    let fault = match head::<T>(db).await? {
        Some(head) => walk.to::<T>(db, &head).await?,
        None => Some(Problem::Headless.at(1)),
    };
    Ok(Verification { sound: walk.last, fault, words: T::WORDS })
}

struct Walk<'a> {
    /// The last entry that is as it should be.
    last: Head,
    kept: Option<&'a Head>,
}

impl Walk<'_> {
    async fn to<T: Table>(
        &mut self,
        db: &impl ConnectionTrait,
        head: &Head,
    ) -> Result<Option<ChainFault>, DbErr> {
        if let Some(fault) = self.not_the_kept(&self.last) {
            return Ok(Some(fault));
        }
        let mut after = None;
        loop {
            let rows = page::<T>(db, after, head.sequence, PAGE).await?;
            let Some(newest) = rows.last() else { break };
            if let Some(fault) = self.over::<T>(db, after, &rows).await? {
                return Ok(Some(fault));
            }
            after = Some(newest.link().sequence);
        }
        let next = self.last.sequence + 1;
        let missing = |last: &Head| self.last.sequence < last.sequence;
        Ok(match () {
            () if missing(head) || self.kept.is_some_and(missing) => Some(Problem::Missing.at(next)),
            () if self.last.digest != head.digest => Some(Problem::NotTheHead.at(self.last.sequence)),
            () => beyond::<T>(db).await?,
        })
    }

    /// Over a page.
    async fn over<T: Table>(
        &mut self,
        db: &impl ConnectionTrait,
        after: Option<i64>,
        rows: &[T::Row],
    ) -> Result<Option<ChainFault>, DbErr> {
        let before = self.last.clone();
        let fault = rows.iter().find_map(|row| self.step(&row.link()).err());
        // All that are sound follow one another.
        let steps = usize::try_from(self.last.sequence - before.sequence).unwrap_or_default();
        let sound = &rows[..steps];
        if sound.is_empty() {
            return Ok(fault);
        }
        let Some(sequence) = T::misindexed(db, after, sound).await? else { return Ok(fault) };
        if let Some(steps) = sound.iter().position(|row| row.link().sequence == sequence) {
            self.last = steps.checked_sub(1).map_or(before, |last| sound[last].link().head());
        }
        Ok(Some(Problem::Misindexed.at(sequence)))
    }

    fn step(&mut self, link: &Link<'_, impl Entry>) -> Result<(), ChainFault> {
        let next = link.follow(&self.last)?;
        if let Some(fault) = self.not_the_kept(&next) {
            return Err(fault);
        }
        self.last = next;
        Ok(())
    }

    fn not_the_kept(&self, at: &Head) -> Option<ChainFault> {
        let kept = self.kept.filter(|kept| kept.sequence == at.sequence)?;
        if kept.digest == at.digest { None } else { Some(Problem::NotTheKept.at(kept.sequence)) }
    }
}

/// The first entry beyond the head. The newest entry is read first: the head that is read then is at least that one, unless somebody went by it.
///
/// # Errors
///
/// The database's error.
pub(crate) async fn beyond<T: Table>(db: &impl ConnectionTrait) -> Result<Option<ChainFault>, DbErr> {
    let newest = newest::<T>(db).await?;
    let Some(head) = head::<T>(db).await? else { return Ok(Some(Problem::Headless.at(1))) };
    if newest.is_none_or(|entry| entry.link().sequence <= head.sequence) {
        return Ok(None);
    }
    let first = page::<T>(db, Some(head.sequence), i64::MAX, 1).await?;
    Ok(first.first().map(|entry| Problem::BeyondTheHead.at(entry.link().sequence)))
}
