use async_trait::async_trait;
use sea_orm::DbErr;

use crate::{KekId, database::WriteTransaction, envelope::DataKeyId, wrapping_keys::Transition};

/// Records what is done with keys, in the transaction that does it: neither is there without the other.
#[async_trait]
pub trait Journal: std::fmt::Debug + Send + Sync {
    /// Who does it, for the table `key_operations`: at most 255 characters of it are kept.
    fn actor(&self) -> &str;

    /// A subject has a fresh data key, and the old ones are gone.
    ///
    /// # Errors
    ///
    /// The database's error; then the subject keeps the old data key.
    async fn rotated(&self, transaction: &WriteTransaction, fresh: DataKeyId) -> Result<(), DbErr>;

    /// A wrapping key's state is about to change. Comes first in its transaction.
    ///
    /// # Errors
    ///
    /// The database's error; then the state stays.
    async fn changes_state(
        &self,
        transaction: &WriteTransaction,
        kek_id: &KekId,
        transition: Transition,
    ) -> Result<(), DbErr>;
}

/// Nothing is recorded beside `key_operations`.
#[derive(Clone, Debug)]
pub struct NoJournal {
    actor: String,
}

impl NoJournal {
    /// Somebody whose doings are recorded nowhere else.
    pub fn new(actor: impl Into<String>) -> Self {
        Self { actor: actor.into() }
    }
}

#[async_trait]
impl Journal for NoJournal {
    fn actor(&self) -> &str {
        &self.actor
    }

    async fn rotated(&self, _: &WriteTransaction, _: DataKeyId) -> Result<(), DbErr> {
        Ok(())
    }

    async fn changes_state(&self, _: &WriteTransaction, _: &KekId, _: Transition) -> Result<(), DbErr> {
        Ok(())
    }
}
