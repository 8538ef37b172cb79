use async_trait::async_trait;
use sea_orm::{Condition, DatabaseConnection, DbErr};

use crate::store;

/// Tells whether wrapping keys are in use. Asked before a new one is made in the place of one that may be lost.
#[async_trait]
pub trait KeysInUse: Send + Sync {
    /// How many data keys are stored under wrapping keys whose ids begin like this.
    ///
    /// # Errors
    ///
    /// The database's error.
    async fn count(&self, prefix: &str) -> Result<u64, DbErr>;
}

/// By the table `data_keys`.
#[async_trait]
impl KeysInUse for DatabaseConnection {
    async fn count(&self, prefix: &str) -> Result<u64, DbErr> {
        let keks = store::count_by_kek(self, Condition::all()).await?;
        let meant = keks.into_iter().filter(|kek| kek.kek_id.starts_with(prefix));
        Ok(meant.map(|kek| kek.data_keys.cast_unsigned()).sum())
    }
}

/// Nothing is stored anywhere: whoever has no such table, and knows that nothing is lost.
#[async_trait]
impl KeysInUse for () {
    async fn count(&self, _: &str) -> Result<u64, DbErr> {
        Ok(0)
    }
}
