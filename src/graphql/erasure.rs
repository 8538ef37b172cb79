use async_graphql::{ID, Object, Result};
use chrono::{DateTime, Utc};

use super::{errors::TooLargeForInt, scalars};
use crate::ledger::Erasure;

/// The record of an erasure.
pub(super) struct ErasureObject(pub(super) Erasure);

/// The proof that a user was forgotten: an entry of a hash-chained ledger. It outlives the user's data and
/// holds nothing of it.
#[Object(name = "Erasure")]
impl ErasureObject {
    /// The id of the user who was forgotten.
    async fn user_id(&self) -> ID {
        scalars::id(self.0.subject)
    }

    /// When the data key was destroyed.
    async fn erased_at(&self) -> DateTime<Utc> {
        self.0.erased_at
    }

    /// The place in the ledger: 1 for the first, without gaps.
    async fn sequence(&self) -> Result<i32> {
        // 2^31 erasures: the schema's Int ends there.
        i32::try_from(self.0.sequence).map_err(|_| TooLargeForInt(self.0.sequence).into())
    }

    /// SHA-256 over this entry and the previous entry's digest, in hexadecimal.
    async fn digest(&self) -> String {
        hex::encode(&self.0.digest)
    }
}
