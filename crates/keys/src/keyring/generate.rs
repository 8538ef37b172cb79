use std::sync::Arc;

use futures::future::try_join_all;

use super::{Keyring, KeyringError};
use crate::{
    DataKeyIdentity, GeneratedKey, KeyCommitment, KeyContext, OpenDataKey, Ticket,
    envelope::{DataKey, DataKeyId, KeyVersion, SubjectId},
    store::StoredKey,
    subjects::Sealer,
    sweep::{Pace, Refusal},
};

/// A data key that is not stored yet.
#[derive(Debug)]
pub struct NewDataKey {
    /// The open key.
    pub key: Arc<OpenDataKey>,
    /// The key as the table has it.
    pub stored: StoredKey,
    pub(super) ticket: Ticket,
}

impl NewDataKey {
    /// What seals the first values of the new subject.
    #[must_use]
    pub fn sealer(&self) -> Sealer<'_> {
        Sealer::new(self.key.data_key())
    }
}

impl Keyring {
    /// Makes a subject's first data key, without storing it. One backend call.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Backend`].
    pub async fn generate(&self, subject: SubjectId) -> Result<NewDataKey, KeyringError> {
        let ticket = self.0.cache.ticket(subject);
        let generated = self.0.backends.active().generate(&first(subject).into()).await?;
        Ok(new_data_key(subject, ticket, generated))
    }

    /// Makes the first data keys of many subjects, without storing them: in as few calls as the backend takes, at a pace. In the order of
    /// `subjects`.
    ///
    /// # Errors
    ///
    /// [`Refusal`], if any of them could not be made.
    pub async fn generate_many(
        &self,
        subjects: &[SubjectId],
        pace: &Pace,
    ) -> Result<Vec<NewDataKey>, Refusal> {
        let backend = self.0.backends.active();
        let contexts: Vec<_> = subjects.iter().map(|subject| KeyContext::from(first(*subject))).collect();
        let tickets: Vec<_> = subjects.iter().map(|subject| self.0.cache.ticket(*subject)).collect();
        let generated: Vec<GeneratedKey> = if let Some(size) = backend.batch_size() {
            let batches = contexts.chunks(size.get()).map(|batch| {
                pace.call(async || {
                    backend.generate_many(batch).await.into_iter().collect::<Result<Vec<_>, _>>()
                })
            });
            try_join_all(batches).await?.into_iter().flatten().collect()
        } else {
            try_join_all(contexts.iter().map(|context| pace.call(|| backend.generate(context)))).await?
        };
        let new = subjects.iter().zip(tickets).zip(generated);
        Ok(new.map(|((subject, ticket), generated)| new_data_key(*subject, ticket, generated)).collect())
    }
}

fn first(subject: SubjectId) -> DataKeyId {
    DataKeyId { subject, version: KeyVersion::FIRST }
}

fn new_data_key(
    subject: SubjectId,
    ticket: Ticket,
    GeneratedKey { material, wrapped }: GeneratedKey,
) -> NewDataKey {
    let identity = DataKeyIdentity::generate();
    let id = first(subject);
    let commitment = Some(KeyCommitment::of(id, identity, &material));
    let key = Arc::new(OpenDataKey::new(DataKey::new(id, &material), identity));
    NewDataKey { key, stored: StoredKey { identity, wrapped, commitment }, ticket }
}
