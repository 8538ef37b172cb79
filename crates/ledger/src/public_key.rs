use base64::{Engine, prelude::BASE64_STANDARD};
use signed_note::{StandardVerifier, Verifier};

use crate::{CheckpointError, Hash, SignedCheckpoint, SignerError};

/// What an Ed25519 key begins with in a note (c2sp.org/signed-note, "Signature types").
const ED25519: u8 = 1;

/// The public key of a log, for a secret one that signs elsewhere: in a KMS.
#[derive(Clone)]
pub struct PublicKey {
    text: String,
    verifier: StandardVerifier,
}

impl PublicKey {
    /// Of an Ed25519 key (RFC 8032) and the name of the log.
    ///
    /// # Errors
    ///
    /// [`SignerError`].
    pub fn new(origin: &str, key: &[u8; 32]) -> Result<Self, SignerError> {
        SignedCheckpoint::body(origin, 0, Hash::default())?;
        let mut encoded = vec![ED25519];
        encoded.extend(key);
        let id = signed_note::key_id(origin, &encoded);
        Self::parse(&format!("{origin}+{id:08x}+{}", BASE64_STANDARD.encode(encoded)))
    }

    /// Reads one: `NAME+ID+KEY`, as policies have it.
    ///
    /// # Errors
    ///
    /// [`SignerError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, SignerError> {
        let verifier = StandardVerifier::new(text).map_err(|_| SignerError::Malformed)?;
        Ok(Self { text: text.to_owned(), verifier })
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.verifier.name()
    }

    /// As policies have it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A body with the signature that was made elsewhere, if it is this key's.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`].
    pub fn signed(&self, body: &[u8], signature: Vec<u8>) -> Result<SignedCheckpoint, CheckpointError> {
        if !self.verifier.verify(body, &signature) {
            return Err(CheckpointError::Forged(self.origin().to_owned()));
        }
        SignedCheckpoint::signed(body, self.origin(), self.verifier.key_id(), signature)
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use signed_note::Signer;

    use super::*;
    use crate::checkpoint::tests::{OWN, policy, signer};

    /// The key of RFC 8032 whose secret half is thirty-two ones, as Python's `cryptography` has it.
    #[test]
    fn what_is_signed_elsewhere_is_as_what_is_signed_here() {
        let key = BASE64_STANDARD.decode(&OWN.1[OWN.1.rfind('+').unwrap() + 1..]).unwrap();
        let public = PublicKey::new("example.com/log", key[1..].try_into().unwrap()).unwrap();
        assert_eq!((public.text(), public.origin()), (OWN.1, "example.com/log"));
        let body = SignedCheckpoint::body("example.com/log", 7, [9; 32]).unwrap();
        let signature = signer().sign(&body).unwrap();
        let signed = public.signed(&body, signature.clone()).unwrap();
        assert_eq!(signed, SignedCheckpoint::sign(&body, &signer()).unwrap());
        signed.verify(&policy(OWN.1)).unwrap();
        let other = SignedCheckpoint::body("example.com/log", 8, [9; 32]).unwrap();
        assert_eq!(
            public.signed(&other, signature),
            Err(CheckpointError::Forged("example.com/log".to_owned()))
        );
        assert!(PublicKey::new("a b", &[1; 32]).is_err());
        assert!(PublicKey::parse("example.com/log+00000000+AQ==").is_err());
    }
}
