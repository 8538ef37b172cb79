use std::{fmt, marker::PhantomData};

use super::{Attribute, FormatError, Header, Sealed};

/// A sealed attribute: what a column of the database holds, and all it can hold.
///
/// Only [`DataKey::seal`](super::DataKey::seal) makes one from a plaintext, so a plaintext cannot be
/// stored by mistake, by any path: single or bulk insert, upsert, `update_many`. Reading a row accepts
/// any bytes; whether they mean anything is decided by [`DataKey::open`](super::DataKey::open).
///
/// A plaintext does not fit where a sealed value belongs, nor does another attribute's value:
///
/// ```compile_fail,E0308
/// # use oubliette_envelope::{Attribute, AttributeError, Encrypted, PersonalText};
/// # enum Email {}
/// # enum Phone {}
/// struct Row {
///     email: Encrypted<Email>,
/// }
///
/// fn row(email: String) -> Row {
///     Row { email }
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use oubliette_envelope::{Attribute, AttributeError, Encrypted, PersonalText};
/// # enum Email {}
/// # enum Phone {}
/// struct Row {
///     email: Encrypted<Email>,
/// }
///
/// fn row(email: Encrypted<Phone>) -> Row {
///     Row { email }
/// }
/// ```
pub struct Encrypted<A> {
    sealed: Vec<u8>,
    attribute: PhantomData<fn() -> A>,
}

impl<A> Encrypted<A> {
    pub(super) fn from_sealed(sealed: Vec<u8>) -> Self {
        Self { sealed, attribute: PhantomData }
    }

    /// The sealed bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.sealed
    }

    /// What the value says about itself: above all, which data key opens it.
    ///
    /// # Errors
    ///
    /// [`FormatError`] if the bytes cannot be a sealed attribute.
    pub fn header(&self) -> Result<Header, FormatError> {
        Header::parse(&self.sealed)
    }

    /// The value, of whatever attribute it is.
    #[must_use]
    pub fn as_sealed(&self) -> Sealed<'_>
    where
        A: Attribute,
    {
        Sealed { name: A::NAME, bytes: &self.sealed }
    }

    pub(super) fn sealed_mut(&mut self) -> &mut Vec<u8> {
        &mut self.sealed
    }

    #[cfg(feature = "sea-orm")]
    pub(super) fn into_sealed(self) -> Vec<u8> {
        self.sealed
    }
}

// By hand: a derive would ask the same of `A`, of which nothing is held.
impl<A> Clone for Encrypted<A> {
    fn clone(&self) -> Self {
        Self::from_sealed(self.sealed.clone())
    }
}

impl<A> PartialEq for Encrypted<A> {
    fn eq(&self, other: &Self) -> bool {
        self.sealed == other.sealed
    }
}

impl<A> Eq for Encrypted<A> {}

impl<A> fmt::Debug for Encrypted<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encrypted({} bytes)", self.sealed.len())
    }
}
