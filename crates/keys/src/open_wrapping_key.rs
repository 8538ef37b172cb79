use std::fmt;

use aead::{Aead, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Key, KeyInit, aead};
use zeroize::Zeroizing;

use crate::{ErrorClass, KekId, KeyContext, WrappedKey, envelope::KeyMaterial};

const FORMAT_VERSION: u8 = 1;
const AES_256_GCM_SIV: u8 = 1;
const HEADER: [u8; 2] = [FORMAT_VERSION, AES_256_GCM_SIV];
const NONCE_LENGTH: usize = 12;

/// A wrapping key in this process's memory: of a key file, or one that a service opened. Its key schedule is built once and
/// wiped when dropped.
///
/// AES-256-GCM-SIV (RFC 8452), bound to the wrapping key's id and the key context. The wrapped bytes: format version 1,
/// algorithm 1, a 96-bit random nonce, the sealed key (32 bytes and a 16-byte tag): 62 in all.
pub(crate) struct OpenWrappingKey {
    id: KekId,
    cipher: Aes256GcmSiv,
}

impl OpenWrappingKey {
    pub(crate) fn new(id: KekId, material: &KeyMaterial) -> Self {
        Self { id, cipher: Aes256GcmSiv::new(<&Key<Aes256GcmSiv>>::from(material.expose())) }
    }

    #[cfg(feature = "local")]
    pub(crate) fn id(&self) -> &KekId {
        &self.id
    }

    pub(crate) fn wrap(&self, key: &KeyMaterial, context: &KeyContext) -> Result<WrappedKey, ErrorClass> {
        let nonce: [u8; NONCE_LENGTH] = rand::random();
        let payload = Payload { msg: key.expose(), aad: &self.associated_data(context) };
        let sealed =
            self.cipher.encrypt((&nonce).into(), payload).map_err(|aead::Error| ErrorClass::Malformed)?;
        let bytes = [&HEADER[..], &nonce, &sealed].concat();
        Ok(WrappedKey { kek_id: self.id.clone(), bytes })
    }

    pub(crate) fn unwrap(&self, wrapped: &[u8], context: &KeyContext) -> Result<KeyMaterial, ErrorClass> {
        let rest = wrapped.strip_prefix(&HEADER).ok_or(ErrorClass::Malformed)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(ErrorClass::Malformed)?;
        let payload = Payload { msg: sealed, aad: &self.associated_data(context) };
        let opened =
            self.cipher.decrypt(nonce.into(), payload).map_err(|aead::Error| ErrorClass::ContextMismatch)?;
        KeyMaterial::from_slice(&Zeroizing::new(opened)).ok_or(ErrorClass::Malformed)
    }

    /// Whether the other one has the same material.
    #[cfg(feature = "local")]
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let context = KeyContext::of_nobody();
        let tried = KeyMaterial::generate().ok().and_then(|material| self.wrap(&material, &context).ok());
        tried.is_some_and(|wrapped| other.unwrap(&wrapped.bytes, &context).is_ok())
    }

    /// Header, wrapping key id, then the context's names and values, each after its length as a
    /// big-endian `u32`.
    fn associated_data(&self, context: &KeyContext) -> Vec<u8> {
        let texts = context.pairs().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let mut data = Vec::with_capacity(160);
        for part in [&HEADER[..], self.id.as_str().as_bytes()].into_iter().chain(texts) {
            #[expect(clippy::cast_possible_truncation, reason = "ids and contexts are short")]
            data.extend_from_slice(&(part.len() as u32).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

impl fmt::Debug for OpenWrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenWrappingKey({}, [redacted])", self.id)
    }
}
