use std::fmt;

use aes_gcm_siv::{
    Aes256GcmSiv, Key, KeyInit,
    aead::{self, AeadInOut, inout::InOutBuf},
};
use zeroize::Zeroizing;

use super::{
    Algorithm, Attribute, DataKeyId, Encrypted, FormatError, Header, KeyMaterial, KeyVersion,
    MAX_NAME_LENGTH, NONCE_LENGTH, OVERHEAD, PersonalText,
    associated_data::AssociatedData,
    format::{HEADER_LENGTH, Parts},
};

/// One subject's open data key: AES-256-GCM-SIV (RFC 8452), its key schedule built once.
///
/// Nonces are 96 random bits per value. RFC 8452, section 9, bounds random nonces at 2^32 messages of
/// up to 8 GiB per key; a person's attributes stay many orders below, and a repeated nonce would only
/// tell whether two values are equal.
///
/// The key schedule is wiped when the key is dropped.
pub struct DataKey {
    id: DataKeyId,
    cipher: Aes256GcmSiv,
}

impl DataKey {
    /// Builds the key schedule of a data key.
    #[must_use]
    pub fn new(id: DataKeyId, material: &KeyMaterial) -> Self {
        Self { id, cipher: Aes256GcmSiv::new(<&Key<Aes256GcmSiv>>::from(material.expose())) }
    }

    /// Whose key this is, and which version.
    #[must_use]
    pub fn id(&self) -> DataKeyId {
        self.id
    }

    /// Seals an attribute for this key's subject. Allocates once, for the result.
    ///
    /// # Errors
    ///
    /// [`SealError`] if the value has more than 64 GiB (RFC 8452, section 6), which no attribute has.
    pub fn seal<A: Attribute>(&self, attribute: &A) -> Result<Encrypted<A>, SealError> {
        let plaintext = attribute.text().expose().as_bytes();
        self.seal_bytes::<A>(plaintext, &rand::random()).map(Encrypted::from_sealed)
    }

    /// Opens an attribute that this key sealed, for this subject, under this attribute's name.
    /// Allocates once, for the result.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if anything is not as it was sealed.
    pub fn open<A: Attribute>(&self, value: &Encrypted<A>) -> Result<A, OpenError> {
        let opened = self.open_bytes::<A>(value.as_bytes())?;
        PersonalText::from_utf8(opened).map(A::from_opened).ok_or(OpenError::NotText)
    }

    fn seal_bytes<A: Attribute>(
        &self,
        plaintext: &[u8],
        nonce: &[u8; NONCE_LENGTH],
    ) -> Result<Vec<u8>, SealError> {
        let header =
            Header { algorithm: Algorithm::Aes256GcmSiv, key_version: self.id.version }.to_bytes();
        let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD);
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(nonce);
        sealed.extend_from_slice(plaintext);
        let body = &mut sealed[HEADER_LENGTH + NONCE_LENGTH..];
        let tag = self
            .cipher
            .encrypt_inout_detached(nonce.into(), self.bind::<A>(header).as_slice(), body.into())
            .map_err(|aead::Error| SealError)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    fn open_bytes<A: Attribute>(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let Parts { header, nonce, ciphertext, tag } = Parts::split(sealed)?;
        if header.key_version != self.id.version {
            return Err(OpenError::OtherKey { sealed_under: header.key_version, opened_with: self.id.version });
        }
        let mut opened = Zeroizing::new(Vec::with_capacity(ciphertext.len()));
        opened.extend_from_slice(ciphertext);
        let body = InOutBuf::from(opened.as_mut_slice());
        let associated_data = self.bind::<A>(header.to_bytes());
        self.cipher
            .decrypt_inout_detached(nonce.into(), associated_data.as_slice(), body, tag.into())
            .map_err(|aead::Error| OpenError::NotAuthentic)?;
        Ok(opened)
    }

    fn bind<A: Attribute>(&self, header: [u8; HEADER_LENGTH]) -> AssociatedData {
        const { assert!(A::NAME.len() <= MAX_NAME_LENGTH, "the attribute's name is too long") };
        AssociatedData::new(header, A::NAME, self.id.subject)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({}, [redacted])", self.id)
    }
}

/// The value is too large to seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is too large to seal")]
pub struct SealError;

/// Why a sealed attribute did not open.
///
/// For logs and operators. Towards a client all of these are one opaque error: which check failed would
/// tell an attacker how far a forgery got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The bytes cannot be a sealed attribute.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Sealed under another version of the data key, or the version was changed.
    #[error("sealed under version {sealed_under} of the data key, opened with version {opened_with}")]
    OtherKey {
        /// The version in the value's header.
        sealed_under: KeyVersion,
        /// The version of the key at hand.
        opened_with: KeyVersion,
    },
    /// Changed, moved from another row or column, or sealed for another subject.
    #[error("not authentic: changed, moved from another place, or sealed for another subject")]
    NotAuthentic,
    /// Authentic, but not UTF-8: sealed by other software that holds the key.
    #[error("the opened value is not UTF-8 text")]
    NotText,
}

