use async_trait::async_trait;

use super::{BackendError, ErrorClass, KeyBackend, Ownership};
use crate::{
    KekId, KeyContext, Realm, WrappedKey, envelope::KeyMaterial, open_wrapping_key::OpenWrappingKey,
};

/// A service that wraps 32 bytes and binds them to nothing: Azure Key Vault, PKCS#11, a TPM. [`Bound`] makes a
/// [`KeyBackend`] of it.
#[async_trait]
pub trait RawWrap: std::fmt::Debug + Send + Sync {
    /// As [`KeyBackend::name`].
    fn name(&self) -> &str;

    /// As [`KeyBackend::owns`].
    fn owns(&self, kek_id: &KekId) -> Ownership;

    /// As [`KeyBackend::current`].
    async fn current(&self, context: &KeyContext) -> Result<KekId, BackendError>;

    /// Wraps a secret under a wrapping key.
    async fn wrap(&self, secret: &KeyMaterial, to: &KekId) -> Result<Vec<u8>, BackendError>;

    /// Opens it again. Need not notice that the bytes are others.
    async fn unwrap(&self, wrapped: &[u8], kek_id: &KekId) -> Result<KeyMaterial, BackendError>;

    /// As [`KeyBackend::look`].
    async fn look(&self) {}
}

/// A backend over a service that binds no context: the service wraps a fresh secret, and the data key is sealed under that
/// secret, here, with the context.
///
/// The wrapped bytes: format version 1, algorithm 2, the length of the wrapped secret as a big-endian `u16`, the wrapped secret,
/// and the data key as the local backend wraps it (62 bytes), under the secret, bound to the wrapping key's id and the context.
/// No two data keys have one secret, so the secret of one opens no other.
#[derive(Debug)]
pub struct Bound<B> {
    service: B,
}

const FORMAT_VERSION: u8 = 1;
const SEALED_UNDER_A_WRAPPED_SECRET: u8 = 2;
const HEADER: [u8; 2] = [FORMAT_VERSION, SEALED_UNDER_A_WRAPPED_SECRET];

impl<B: RawWrap> Bound<B> {
    /// A backend over this service.
    #[must_use]
    pub fn new(service: B) -> Self {
        Self { service }
    }

    fn error(&self, class: ErrorClass) -> BackendError {
        BackendError { backend: self.service.name().to_owned(), class, source: None }
    }
}

#[async_trait]
impl<B: RawWrap> KeyBackend for Bound<B> {
    fn name(&self) -> &str {
        self.service.name()
    }

    fn owns(&self, kek_id: &KekId) -> Ownership {
        self.service.owns(kek_id)
    }

    fn realm(&self) -> Realm {
        Realm::alone(self.name())
    }

    async fn current(&self, context: &KeyContext) -> Result<KekId, BackendError> {
        self.service.current(context).await
    }

    async fn wrap(
        &self,
        material: &KeyMaterial,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        let secret = KeyMaterial::generate()
            .map_err(|error| BackendError::new(self.name(), ErrorClass::Unavailable, error))?;
        let wrapped_secret = self.service.wrap(&secret, to).await?;
        let length = u16::try_from(wrapped_secret.len())
            .map_err(|error| BackendError::new(self.name(), ErrorClass::BadAnswer, error))?;
        let sealed = OpenWrappingKey::new(to.clone(), &secret)
            .wrap(material, context)
            .map_err(|class| self.error(class))?;
        let bytes = [&HEADER[..], &length.to_be_bytes(), &wrapped_secret, &sealed.bytes].concat();
        Ok(WrappedKey { kek_id: to.clone(), bytes })
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<KeyMaterial, BackendError> {
        let (wrapped_secret, sealed) =
            split(&wrapped.bytes).ok_or_else(|| self.error(ErrorClass::Malformed))?;
        let secret = self.service.unwrap(wrapped_secret, &wrapped.kek_id).await?;
        OpenWrappingKey::new(wrapped.kek_id.clone(), &secret)
            .unwrap(sealed, context)
            .map_err(|class| self.error(class))
    }

    async fn look(&self) {
        self.service.look().await;
    }
}

/// The wrapped secret, and what is sealed under it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.strip_prefix(&HEADER)?.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{DataKeyId, KeyVersion, SubjectId};

    /// A service that adds a number to each byte, and notices nothing.
    #[derive(Debug)]
    struct Shift;

    fn number(kek_id: &KekId) -> Result<u8, BackendError> {
        let number = kek_id.as_str().strip_prefix("shift:").and_then(|number| number.parse().ok());
        number.ok_or(BackendError {
            backend: "shift".to_owned(),
            class: ErrorClass::KeyNotFound,
            source: None,
        })
    }

    #[async_trait]
    impl RawWrap for Shift {
        fn name(&self) -> &'static str {
            "shift"
        }

        fn owns(&self, kek_id: &KekId) -> Ownership {
            if number(kek_id).is_ok() { Ownership::Certain } else { Ownership::No }
        }

        async fn current(&self, _: &KeyContext) -> Result<KekId, BackendError> {
            Ok(KekId::new("shift:3"))
        }

        async fn wrap(&self, secret: &KeyMaterial, to: &KekId) -> Result<Vec<u8>, BackendError> {
            let number = number(to)?;
            Ok(secret.expose().iter().map(|byte| byte.wrapping_add(number)).collect())
        }

        async fn unwrap(&self, wrapped: &[u8], kek_id: &KekId) -> Result<KeyMaterial, BackendError> {
            let number = number(kek_id)?;
            let secret: Vec<_> = wrapped.iter().map(|byte| byte.wrapping_sub(number)).collect();
            KeyMaterial::from_slice(&secret).ok_or(BackendError {
                backend: "shift".to_owned(),
                class: ErrorClass::Malformed,
                source: None,
            })
        }
    }

    fn context() -> KeyContext {
        DataKeyId { subject: SubjectId::generate(), version: KeyVersion::FIRST }.into()
    }

    async fn class(wrapped: &WrappedKey, context: &KeyContext) -> ErrorClass {
        Bound::new(Shift).unwrap(wrapped, context).await.unwrap_err().class
    }

    #[tokio::test]
    async fn a_service_without_contexts_binds_them_all_the_same() {
        let backend = Bound::new(Shift);
        let (own, other) = (context(), context());
        let key = backend.generate(&own).await.unwrap();
        assert_eq!(key.wrapped.kek_id.as_str(), "shift:3");
        assert_eq!(key.wrapped.bytes.len(), 2 + 2 + 32 + 62);
        assert_eq!(backend.unwrap(&key.wrapped, &own).await.unwrap().expose(), key.material.expose());
        assert_eq!(class(&key.wrapped, &other).await, ErrorClass::ContextMismatch);
        let branch = KeyContext::new("branch", own.pairs().map(|(name, value)| (name, value.to_owned())));
        assert_eq!(class(&key.wrapped, &branch).await, ErrorClass::ContextMismatch);
        let moved = backend.rewrap(&key.wrapped, &own, &KekId::new("shift:4")).await.unwrap();
        assert_eq!(backend.unwrap(&moved, &own).await.unwrap().expose(), key.material.expose());
        assert_eq!(class(&moved, &other).await, ErrorClass::ContextMismatch);
        assert_eq!(backend.check().await.unwrap().as_str(), "shift:3");
    }

    #[tokio::test]
    async fn what_the_service_does_not_notice_is_noticed_here() {
        let (backend, own) = (Bound::new(Shift), context());
        let key = backend.generate(&own).await.unwrap().wrapped;
        for position in 0..key.bytes.len() {
            let mut tampered = key.clone();
            tampered.bytes[position] ^= 1;
            assert!(class(&tampered, &own).await.blames_the_wrapped_key(), "byte {position}");
        }
        for length in 0..key.bytes.len() {
            let cut = WrappedKey { bytes: key.bytes[..length].to_vec(), ..key.clone() };
            assert!(class(&cut, &own).await.blames_the_wrapped_key(), "the first {length} bytes");
        }
        // The second is the same to the service.
        for kek_id in ["shift:4", "shift:03"] {
            let elsewhere = WrappedKey { kek_id: KekId::new(kek_id), ..key.clone() };
            assert_eq!(class(&elsewhere, &own).await, ErrorClass::ContextMismatch);
        }
        // The secret of one data key, and what is sealed under another's.
        let other = backend.generate(&own).await.unwrap().wrapped;
        let mixed = [&key.bytes[..36], &other.bytes[36..]].concat();
        assert_eq!(class(&WrappedKey { bytes: mixed, ..key }, &own).await, ErrorClass::ContextMismatch);
    }
}
