//! Data keys that are read in the same statement as the rows of their subjects.

use sea_orm::{ColumnTrait, EntityTrait, QueryResult, Select};

use super::Keyring;
use crate::{
    Ticket,
    envelope::{DataKeyId, SubjectId},
    store::{self, StoredKey},
};

/// A data key as the table had it when a row of its subject was read. Not open yet: see [`Keyring::open_found`].
#[derive(Clone, Debug)]
pub struct FoundKey {
    pub(super) id: DataKeyId,
    pub(super) ticket: Ticket,
    pub(super) stored: StoredKey,
}

/// Has a statement that reads rows read their subjects' data keys, too: a statement less for each data key that is not open.
#[derive(Debug)]
pub struct WithKeys(Vec<(SubjectId, Ticket)>);

impl Keyring {
    /// For a statement that is about to read rows of these subjects. `None` if most data keys are open anyway, going by those that were asked
    /// for alone lately.
    #[must_use]
    pub fn with_keys(&self, subjects: impl IntoIterator<Item = SubjectId>) -> Option<WithKeys> {
        let ticket = |subject| (subject, self.0.cache.ticket(subject));
        self.0.misses.are_many().then(|| WithKeys(subjects.into_iter().map(ticket).collect()))
    }
}

impl WithKeys {
    /// The statement, with columns for a data key behind its own. A subject who has several has several rows; who has none, one.
    #[must_use]
    pub fn join<E: EntityTrait>(&self, select: Select<E>, subject: impl ColumnTrait) -> Select<E> {
        store::join(select, subject)
    }

    /// The data key in a row; `own` is how many columns the statement had before. Nothing if there is none, or none that can be read:
    /// then the [`Keyring`] asks the table for it, and says why.
    #[must_use]
    pub fn found(&self, row: &QueryResult, own: usize, subject: SubjectId) -> Option<FoundKey> {
        let (_, ticket) = *self.0.iter().find(|(known, _)| *known == subject)?;
        let (id, stored) = store::joined(row, own, subject)?;
        Some(FoundKey { id, ticket, stored })
    }
}
