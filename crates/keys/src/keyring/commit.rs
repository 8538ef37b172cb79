//! Storing key commitments of data keys that were opened and have none: those of a release that made none.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync;
use tracing::Instrument;

use super::{Keyring, KeyringError};
use crate::{
    DataKeyIdentity, KeyCommitment, OpenDataKey, causes,
    envelope::{DataKey, DataKeyId, KeyMaterial, SubjectId},
    store::{self, StoredKey},
};

/// Commitments that wait to be stored. Beyond these, the next opening is another chance.
const MOST: usize = 10_000;

/// Commitments that are stored in one transaction.
const TOGETHER: usize = 200;

/// Commitments that wait to be stored.
#[derive(Debug, Default)]
pub(super) struct Uncommitted {
    waiting: Mutex<BTreeMap<DataKeyId, (DataKeyIdentity, KeyCommitment)>>,
    /// Who stores them.
    turn: sync::Mutex<()>,
}

impl Keyring {
    /// An opened data key. If the table has no commitment of it, it soon has.
    pub(super) fn opened(&self, id: DataKeyId, stored: &StoredKey, material: &KeyMaterial) -> OpenDataKey {
        let commitment = KeyCommitment::of(id, stored.identity, material);
        if stored.commitment.is_none() && self.0.uncommitted.add(id, stored.identity, commitment) {
            let this = self.clone();
            tokio::spawn(async move { this.store_commitments().await }.in_current_span());
        }
        let is_foreign = stored.commitment.is_some_and(|stored| stored != commitment);
        OpenDataKey::new(DataKey::new(id, material), stored.identity).committed(is_foreign)
    }

    /// Stores the commitments that wait. What cannot be stored is stored after another opening.
    pub(crate) async fn store_commitments(&self) {
        let Uncommitted { turn, .. } = &self.0.uncommitted;
        let _turn = turn.lock().await;
        loop {
            let together = self.0.uncommitted.take();
            if together.is_empty() {
                return;
            }
            if let Err(error) = store::commit(&self.0.db, &together).await {
                tracing::debug!("key commitments are not stored: {}", causes::line(&error));
            }
        }
    }

    /// The commitment of a subject's newest data key. One that is not stored yet needs the key opened.
    ///
    /// # Errors
    ///
    /// [`KeyringError::NoDataKey`] if there is none; else as for [`Keyring::open`].
    pub async fn commitment(&self, subject: SubjectId) -> Result<KeyCommitment, Arc<KeyringError>> {
        let no_key = || Arc::new(KeyringError::NoDataKey(subject));
        let database = |error| Arc::new(KeyringError::Database(error));
        let newest = store::newest_stored(&self.0.db, subject).await.map_err(database)?;
        let (id, stored) = newest.ok_or_else(no_key)?;
        if let Some(commitment) = stored.commitment {
            return Ok(commitment);
        }
        let material = self.unwrap(id, &stored.wrapped).await?;
        let commitment = KeyCommitment::of(id, stored.identity, &material);
        let together = [(id, (stored.identity, commitment))].into();
        store::commit(&self.0.db, &together).await.map_err(database)?;
        Ok(commitment)
    }
}

impl Uncommitted {
    /// Whether they are the first to wait.
    fn add(&self, id: DataKeyId, identity: DataKeyIdentity, commitment: KeyCommitment) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST {
            waiting.insert(id, (identity, commitment));
        }
        waiting.len() == 1
    }

    fn take(&self) -> BTreeMap<DataKeyId, (DataKeyIdentity, KeyCommitment)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = waiting.keys().nth(TOGETHER).copied().map(|first| waiting.split_off(&first));
        std::mem::replace(&mut *waiting, rest.unwrap_or_default())
    }
}
