use std::fmt;

use uuid::Uuid;

use crate::envelope::{
    Attribute, DataKey, DataKeyId, Encrypted, OpenError, Opener, Personal, PersonalText, Sealed,
};

/// Which data key it is, among all that there ever were: random, given once, the same after a rewrap.
///
/// A version is a counter: after a failover or a restore that lost a rotation, the next one gives out the same version again,
/// for another key. Code that seals with an open key first compares this, under the subject's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataKeyIdentity(Uuid);

impl DataKeyIdentity {
    /// A fresh one: UUID version 4 (RFC 9562).
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Builder::from_random_bytes(rand::random()).into_uuid())
    }
}

impl From<Uuid> for DataKeyIdentity {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl From<DataKeyIdentity> for Uuid {
    fn from(identity: DataKeyIdentity) -> Self {
        identity.0
    }
}

/// A data key, open, that is or was in the table. It opens values; to seal one with it, lock its subject:
/// [`LockedSubject::sealer`](crate::subjects::LockedSubject::sealer).
pub struct OpenDataKey {
    key: DataKey,
    identity: DataKeyIdentity,
    is_commitment_foreign: bool,
}

impl OpenDataKey {
    pub(super) fn new(key: DataKey, identity: DataKeyIdentity) -> Self {
        Self { key, identity, is_commitment_foreign: false }
    }

    /// With what was found of the commitment in the table.
    pub(super) fn committed(self, is_commitment_foreign: bool) -> Self {
        Self { is_commitment_foreign, ..self }
    }

    /// Whether the table had the commitment of another key when this one was opened.
    #[must_use]
    pub fn is_commitment_foreign(&self) -> bool {
        self.is_commitment_foreign
    }

    /// Whose key it is, and which version.
    #[must_use]
    pub fn id(&self) -> DataKeyId {
        self.key.id()
    }

    /// Which one, among all that there ever were.
    #[must_use]
    pub fn identity(&self) -> DataKeyIdentity {
        self.identity
    }

    /// Opens a value.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if anything is not as it was sealed.
    pub fn open<A: Attribute>(&self, value: &Encrypted<A>) -> Result<Personal<A>, OpenError> {
        self.key.open(value)
    }

    /// Opens a value of some attribute.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn open_sealed(&self, value: Sealed<'_>) -> Result<PersonalText, OpenError> {
        self.key.open_sealed(value)
    }

    /// Opens a value of some attribute into the opener's buffer.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn open_with<'o>(&self, opener: &'o mut Opener, value: Sealed<'_>) -> Result<&'o str, OpenError> {
        opener.open(&self.key, value)
    }

    pub(crate) fn data_key(&self) -> &DataKey {
        &self.key
    }
}

impl fmt::Debug for OpenDataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}
