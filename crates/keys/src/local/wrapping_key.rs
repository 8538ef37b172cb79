use std::fmt;

use aead::{Aead, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Key, KeyInit, aead};
use zeroize::Zeroizing;

use crate::{ErrorClass, KekId, KeyContext, WrappedKey, envelope::KeyMaterial};

const FORMAT_VERSION: u8 = 1;
const AES_256_GCM_SIV: u8 = 1;
const HEADER: [u8; 2] = [FORMAT_VERSION, AES_256_GCM_SIV];
const NONCE_LENGTH: usize = 12;

/// One wrapping key of a key file, its key schedule built once and wiped when dropped.
pub(super) struct WrappingKey {
    id: KekId,
    cipher: Aes256GcmSiv,
}

impl WrappingKey {
    pub(super) fn new(id: KekId, material: &KeyMaterial) -> Self {
        Self { id, cipher: Aes256GcmSiv::new(<&Key<Aes256GcmSiv>>::from(material.expose())) }
    }

    pub(super) fn id(&self) -> &KekId {
        &self.id
    }

    pub(super) fn wrap(&self, key: &KeyMaterial, context: &KeyContext) -> Result<WrappedKey, ErrorClass> {
        let nonce: [u8; NONCE_LENGTH] = rand::random();
        let payload = Payload { msg: key.expose(), aad: &self.associated_data(context) };
        let sealed =
            self.cipher.encrypt((&nonce).into(), payload).map_err(|aead::Error| ErrorClass::Malformed)?;
        let bytes = [&HEADER[..], &nonce, &sealed].concat();
        Ok(WrappedKey { kek_id: self.id.clone(), bytes })
    }

    pub(super) fn unwrap(&self, wrapped: &[u8], context: &KeyContext) -> Result<KeyMaterial, ErrorClass> {
        let rest = wrapped.strip_prefix(&HEADER).ok_or(ErrorClass::Malformed)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(ErrorClass::Malformed)?;
        let payload = Payload { msg: sealed, aad: &self.associated_data(context) };
        let opened =
            self.cipher.decrypt(nonce.into(), payload).map_err(|aead::Error| ErrorClass::ContextMismatch)?;
        KeyMaterial::from_slice(&Zeroizing::new(opened)).ok_or(ErrorClass::Malformed)
    }

    /// Whether the other one has the same material.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        let context = KeyContext::of_nobody();
        let tried = KeyMaterial::generate().ok().and_then(|material| self.wrap(&material, &context).ok());
        tried.is_some_and(|wrapped| other.unwrap(&wrapped.bytes, &context).is_ok())
    }

    /// Header, wrapping key id, then the context's names and values, each after its length as a
    /// big-endian `u32`.
    fn associated_data(&self, context: &KeyContext) -> Vec<u8> {
        let pairs = context.pairs();
        let texts = pairs.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let mut data = Vec::with_capacity(160);
        for part in [&HEADER[..], self.id.as_str().as_bytes()].into_iter().chain(texts) {
            #[expect(clippy::cast_possible_truncation, reason = "ids and uuids are short")]
            data.extend_from_slice(&(part.len() as u32).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappingKey({}, [redacted])", self.id)
    }
}
