use std::time::Duration;

use async_graphql::{Context, Enum, ID, Object, Result};
use chrono::{DateTime, Utc};
use oubliette_ledger::Receipt;

use super::{
    errors::{NoReceipt, NotPublished, TooLargeForInt},
    nullable::{Nullable, nullable},
    scalars,
};
use crate::{ledger::Erasure, sinks::Receipts};

/// How long a receipt is waited for: less than a request may take.
const PATIENCE: Duration = Duration::from_secs(6);

/// The record of an erasure.
pub(super) struct ErasureObject {
    erasure: Erasure,
    /// If it was waited for.
    receipt: Option<Receipt>,
}

/// What a forgetting waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum ForgetWait {
    /// The entry is stored outside the database, and has a receipt.
    Receipt,
}

impl ErasureObject {
    /// With its receipt, which may have to be waited for.
    pub(super) async fn published(erasure: Erasure, receipts: &Receipts) -> Result<Self, NotPublished> {
        match receipts.wait_for(&erasure, PATIENCE).await {
            Some(receipt) => Ok(Self { erasure, receipt: Some(receipt) }),
            None => Err(NotPublished(erasure.sequence)),
        }
    }
}

impl From<Erasure> for ErasureObject {
    fn from(erasure: Erasure) -> Self {
        Self { erasure, receipt: None }
    }
}

/// The proof that a user was forgotten: an entry of a hash-chained ledger. It outlives the user's data and
/// holds nothing of it.
#[Object(name = "Erasure")]
impl ErasureObject {
    /// The id of the user who was forgotten.
    async fn user_id(&self) -> ID {
        scalars::id(self.erasure.subject)
    }

    /// When the data key was destroyed.
    async fn erased_at(&self) -> DateTime<Utc> {
        self.erasure.erased_at
    }

    /// The place in the ledger: 1 for the first, without gaps.
    async fn sequence(&self) -> Result<i32> {
        // 2^31 erasures: the schema's Int ends there.
        i32::try_from(self.erasure.sequence).map_err(|_| TooLargeForInt(self.erasure.sequence).into())
    }

    /// The receipt for strangers, a c2sp.org/tlog-proof: whoever has it and the ledger's policy can check, offline, that this entry is in the ledger. `null`
    /// until it is published, a second or so after the forgetting, and if the service publishes none.
    #[graphql(complexity = 50)]
    async fn receipt(&self, context: &Context<'_>) -> Nullable<String> {
        nullable(async {
            let receipts = context.data_unchecked::<Receipts>();
            let found = match &self.receipt {
                Some(receipt) => Some(receipt.clone()),
                None => receipts.of(&self.erasure).await.map_err(NoReceipt)?,
            };
            Ok(found.map(|receipt| receipt.to_string()))
        })
        .await
    }

    /// SHA-256 over this entry and the previous entry's digest, in hexadecimal.
    async fn digest(&self) -> String {
        hex::encode(&self.erasure.digest)
    }
}
