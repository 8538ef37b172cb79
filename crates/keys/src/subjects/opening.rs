use std::sync::Arc;

use crate::{
    Keyring, KeyringError, OpenDataKey,
    envelope::{
        Attribute, DataKeyId, Encrypted, FormatError, Header, OpenError, Personal, PersonalText, Sealed,
        SubjectId,
    },
};

impl Keyring {
    /// Opens a value of a subject's row, with the data key that it says it is sealed under.
    ///
    /// # Errors
    ///
    /// [`Unreadable`]. If the [key is gone](Unreadable::is_key_gone), read the row again: the subject was forgotten since, or
    /// has a fresh data key.
    pub async fn open_value<A: Attribute>(
        &self,
        subject: SubjectId,
        value: &Encrypted<A>,
    ) -> Result<Personal<A>, Unreadable> {
        self.open_with_own_key(subject, value.header(), |key| key.open(value)).await
    }

    /// The same for a value of some attribute.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn open_sealed(
        &self,
        subject: SubjectId,
        value: Sealed<'_>,
    ) -> Result<PersonalText, Unreadable> {
        self.open_with_own_key(subject, value.header(), |key| key.open_sealed(value)).await
    }

    async fn open_with_own_key<T>(
        &self,
        subject: SubjectId,
        header: Result<Header, FormatError>,
        open: impl Fn(&OpenDataKey) -> Result<T, OpenError>,
    ) -> Result<T, Unreadable> {
        let version = header.map_err(OpenError::from)?.key_version;
        let key = self.open(DataKeyId { subject, version }).await?;
        let error = match open(&key) {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        // The table may have another key of the same version, after a failover or a restore that lost a rotation.
        match self.open_instead_of(&key).await? {
            Some(key) => Ok(open(&key)?),
            None => Err(error.into()),
        }
    }
}

/// Why a sealed value does not open. For logs and operators: a client learns no more than that it does not.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreadable {
    /// The value itself.
    #[error(transparent)]
    Value(#[from] OpenError),
    /// Its data key.
    #[error(transparent)]
    Key(#[from] Arc<KeyringError>),
}

impl Unreadable {
    /// Whether the data key is not in the table, or not any more.
    #[must_use]
    pub fn is_key_gone(&self) -> bool {
        matches!(self, Self::Key(error) if matches!(**error, KeyringError::Missing(_)))
    }
}
