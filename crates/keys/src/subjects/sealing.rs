use std::{ops::Deref, sync::Arc};

use sea_orm::{DbErr, SqlErr};

use super::{LockedSubject, Sealer};
use crate::{
    KekState, Keyring, KeyringError, NewDataKey, NotStored, OpenDataKey,
    database::{MayBeDatabases, WriteTransaction, begin_write},
    envelope::SubjectId,
    store::{self, Unconfirmed},
    wrapping_keys,
};

/// How often the newest data key is opened again, if a rotation replaced it before the subject was locked.
const ATTEMPTS: usize = 5;

/// A transaction in which values are sealed for one subject. Until it ends, nobody rotates or forgets the subject, so what is
/// stored in it stays readable. Statements go through it as through any [`WriteTransaction`]; what is not
/// [committed](Self::commit) is undone.
#[derive(Debug)]
pub struct SealingTransaction {
    transaction: WriteTransaction,
    keyring: Keyring,
    key: SealingKey,
}

#[derive(Debug)]
enum SealingKey {
    Stored(Arc<OpenDataKey>),
    New(NewDataKey, Unconfirmed),
}

impl SealingTransaction {
    /// For a new subject: makes a data key, and stores it. One backend call, before the transaction. If the data key's wrapping
    /// key is being retired, the backend looks for the current one, and makes another data key.
    ///
    /// # Errors
    ///
    /// [`SealingError::Keys`], [`SealingError::Database`]; [`SealingError::NotNew`] if the subject has a data key.
    pub async fn begin_new(keyring: &Keyring, subject: SubjectId) -> Result<Self, SealingError> {
        let mut new = keyring.generate(subject).await?;
        let state = wrapping_keys::state(keyring.db(), &new.stored.wrapped.kek_id).await?;
        if state.is_some_and(|state| state != KekState::Active) {
            keyring.look().await;
            new = keyring.generate(subject).await?;
        }
        let transaction = begin_write(keyring.db()).await?;
        let unconfirmed = match store::insert(&transaction, new.key.id(), new.stored.clone()).await {
            Ok(unconfirmed) => unconfirmed,
            Err(error) => {
                transaction.rollback().await?;
                return Err(match error.sql_err() {
                    Some(SqlErr::UniqueConstraintViolation(_)) => SealingError::NotNew(subject),
                    _ => error.into(),
                });
            }
        };
        // One of another version.
        if LockedSubject::to_seal(&transaction, subject).await?.keys().len() > 1 {
            transaction.rollback().await?;
            return Err(SealingError::NotNew(subject));
        }
        Ok(Self { transaction, keyring: keyring.clone(), key: SealingKey::New(new, unconfirmed) })
    }

    /// For a subject who has a data key: opens the newest one, and locks the subject. If the data key was rotated between the
    /// two, begins again.
    ///
    /// # Errors
    ///
    /// [`SealingError`]; [`SealingError::NoDataKey`] if the subject was forgotten, or is nobody.
    pub async fn begin(keyring: &Keyring, subject: SubjectId) -> Result<Self, SealingError> {
        for _ in 0..ATTEMPTS {
            let key = keyring.open_newest(subject).await?;
            let transaction = begin_write(keyring.db()).await?;
            let locked = LockedSubject::to_seal(&transaction, subject).await?;
            if locked.sealer(&key).is_some() {
                return Ok(Self { transaction, keyring: keyring.clone(), key: SealingKey::Stored(key) });
            }
            transaction.rollback().await?;
        }
        Err(SealingError::Contended(subject))
    }

    /// What seals the subject's values.
    #[must_use]
    pub fn sealer(&self) -> Sealer<'_> {
        let key = match &self.key {
            SealingKey::Stored(key) => key,
            SealingKey::New(new, _) => &new.key,
        };
        Sealer::new(key.data_key())
    }

    /// Makes it last.
    ///
    /// # Errors
    ///
    /// [`SealingError::Database`]: it may last all the same, if only the answer was lost. [`KeyringError::Inactive`] if the retirement of
    /// the new data key's wrapping key has begun since the transaction did, or no other wrapping key is current: nothing was stored,
    /// and the whole can be tried again.
    pub async fn commit(self) -> Result<(), SealingError> {
        let Self { transaction, keyring, key } = self;
        let SealingKey::New(new, unconfirmed) = key else { return Ok(transaction.commit().await?) };
        match keyring.confirm(&transaction, unconfirmed).await {
            Ok(()) => {}
            Err(NotStored::Database(error)) => return Err(error.into()),
            Err(NotStored::Inactive(inactive)) => {
                transaction.rollback().await?;
                // The backend may have missed that another wrapping key is current.
                keyring.look().await;
                return Err(KeyringError::from(inactive).into());
            }
        }
        transaction.commit().await?;
        keyring.remember(new).await;
        Ok(())
    }
}

impl Deref for SealingTransaction {
    type Target = WriteTransaction;

    fn deref(&self) -> &WriteTransaction {
        &self.transaction
    }
}

/// Why nothing can be sealed for a subject.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealingError {
    /// The subject has no data key: forgotten, or nobody.
    #[error("subject {0} has no data key")]
    NoDataKey(SubjectId),
    /// The subject has a data key already.
    #[error("subject {0} is not new: it has a data key")]
    NotNew(SubjectId),
    /// The data key could not be had.
    #[error(transparent)]
    Keys(Arc<KeyringError>),
    /// The data key was rotated each time the subject was about to be locked.
    #[error("the data key of subject {0} kept changing")]
    Contended(SubjectId),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl MayBeDatabases for SealingError {
    fn database_error(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            Self::NoDataKey(_) | Self::NotNew(_) | Self::Keys(_) | Self::Contended(_) => None,
        }
    }
}

impl From<Arc<KeyringError>> for SealingError {
    fn from(error: Arc<KeyringError>) -> Self {
        match *error {
            KeyringError::NoDataKey(subject) => Self::NoDataKey(subject),
            _ => Self::Keys(error),
        }
    }
}

impl From<KeyringError> for SealingError {
    fn from(error: KeyringError) -> Self {
        Arc::new(error).into()
    }
}
