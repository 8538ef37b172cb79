use std::sync::Arc;

use crate::{
    Keyring, KeyringError, OpenDataKey,
    envelope::{
        Attribute, DataKeyId, Encrypted, FormatError, Header, OpenError, Personal, PersonalText, Sealed,
        SubjectId,
    },
};

/// How often a row is read whose data key is gone when its values are opened.
const ATTEMPTS: usize = 5;

impl Keyring {
    /// Opens a value of a subject's row, with the data key that it says it is sealed under.
    ///
    /// # Errors
    ///
    /// [`Unreadable`]. If the [key is gone](Unreadable::is_key_gone), the subject was forgotten since the row was read, or has a
    /// fresh data key: [`read_again_if_rotated`] reads the row again.
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

/// Reads rows and opens their values. A rotation may replace the data key between the two: then `read` runs again, five times in
/// all. So it has to read the rows as well, and not only to open them.
///
/// ```
/// # use oubliette_keys::{KeyringError, subjects::{Unreadable, read_again_if_rotated}};
/// # use oubliette_keys::envelope::{DataKeyId, KeyVersion, SubjectId};
/// # use std::{cell::Cell, sync::Arc};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Unreadable> {
/// # let id = DataKeyId { subject: SubjectId::generate(), version: KeyVersion::FIRST };
/// let reads = Cell::new(0);
/// let read = || async {
///     reads.set(reads.get() + 1);
///     // In a program: the row is read here, then `Keyring::open_value` opens what it holds.
///     if reads.get() == 1 { Err(Unreadable::from(Arc::new(KeyringError::Missing(id)))) } else { Ok("Ada") }
/// };
/// assert_eq!(read_again_if_rotated(read).await?, "Ada");
/// assert_eq!(reads.get(), 2);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The last attempt's; any other than a missing data key at once.
pub async fn read_again_if_rotated<T, E: MayBeUnreadable, F: Future<Output = Result<T, E>>>(
    read: impl Fn() -> F,
) -> Result<T, E> {
    for _ in 1..ATTEMPTS {
        match read().await {
            Err(error) if error.unreadable().is_some_and(Unreadable::is_key_gone) => {}
            done => return done,
        }
    }
    read().await
}

/// An error that may be about a sealed value.
pub trait MayBeUnreadable {
    /// Why a sealed value does not open, if that is the error.
    fn unreadable(&self) -> Option<&Unreadable>;
}

impl MayBeUnreadable for Unreadable {
    fn unreadable(&self) -> Option<&Unreadable> {
        Some(self)
    }
}

/// Why a sealed value does not open. For logs and operators: a client learns no more than that it does not.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
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

    /// Whether the key backend is to blame, and not the value or its data key: others will not open, either.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        let is_outage = |error: &KeyringError| matches!(error, KeyringError::Backend(error) if !error.class.blames_the_wrapped_key());
        matches!(self, Self::Key(error) if is_outage(error))
    }
}
