use signed_note::{Signer, StandardSigner, StandardVerifier, Verifier};

use crate::{CheckpointError, Hash, SignedCheckpoint};

/// What a secret key begins with, in the form of Go's `sumdb/note`.
const SECRET: &str = "PRIVATE+KEY+";

/// Signs heads of a log with an Ed25519 key (RFC 8032) that this process has. As a text, two lines: the secret key and the public one, in the forms of Go's
/// `sumdb/note`.
pub struct LocalSigner {
    signer: StandardSigner,
    public: String,
}

/// A key cannot be used. Holds nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// It is none.
    #[error(
        "is no key of a log: a line `PRIVATE+KEY+NAME+ID+KEY`, and one with its public key `NAME+ID+KEY`"
    )]
    Malformed,
    /// The two lines are of two keys.
    #[error("has a secret key and the public key of another one")]
    Mismatch,
    /// The name of a log that cannot be one.
    #[error(transparent)]
    Origin(#[from] CheckpointError),
    /// No random bytes.
    #[error("the system gives no random bytes")]
    Random(#[from] getrandom::Error),
}

impl LocalSigner {
    /// Makes a key for a log of this name, as the text that is to be stored.
    ///
    /// # Errors
    ///
    /// [`SignerError::Origin`], [`SignerError::Random`].
    pub fn generate(origin: &str) -> Result<String, SignerError> {
        SignedCheckpoint::body(origin, 0, Hash::default())?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let (secret, public) = signed_note::generate_key(&mut Seed(seed), origin);
        Ok(format!("{secret}\n{public}\n"))
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`SignerError::Malformed`], [`SignerError::Mismatch`].
    pub fn parse(text: &str) -> Result<Self, SignerError> {
        let mut lines = text.lines();
        let (Some(secret), Some(public), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err(SignerError::Malformed);
        };
        if !secret.starts_with(SECRET) {
            return Err(SignerError::Malformed);
        }
        let signer = StandardSigner::new(secret).map_err(|_| SignerError::Malformed)?;
        let verifier = StandardVerifier::new(public).map_err(|_| SignerError::Malformed)?;
        let is_one = signer.name() == verifier.name() && signer.key_id() == verifier.key_id();
        let signature = signer.sign(b"a test").map_err(|_| SignerError::Malformed)?;
        if !is_one || !verifier.verify(b"a test", &signature) {
            return Err(SignerError::Mismatch);
        }
        Ok(Self { signer, public: public.to_owned() })
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.signer.name()
    }

    /// The public key, as policies have it.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Signs the root over the first entries of the log, so many.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`].
    pub fn sign(&self, size: u64, root: Hash) -> Result<SignedCheckpoint, CheckpointError> {
        SignedCheckpoint::sign(&SignedCheckpoint::body(self.origin(), size, root)?, &self.signer)
    }
}

impl std::fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalSigner").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Random bytes that are there already.
struct Seed([u8; 32]);

impl rand_core::RngCore for Seed {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    /// Each of them once.
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        let seed = std::mem::take(&mut self.0);
        assert!(bytes.len() == seed.len() && seed != [0; 32], "a key is made of 32 random bytes");
        bytes.copy_from_slice(&seed);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl rand_core::CryptoRng for Seed {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::tests::{OWN, policy};

    #[test]
    fn a_key_signs_for_whoever_trusts_its_policy() {
        let text = LocalSigner::generate("example.com/log").unwrap();
        let signer = LocalSigner::parse(&text).unwrap();
        assert_eq!(signer.origin(), "example.com/log");
        assert_ne!(LocalSigner::generate("example.com/log").unwrap(), text);
        let policy = policy(signer.public());
        signer.sign(3, [1; 32]).unwrap().verify(&policy).unwrap();
        assert!(LocalSigner::generate("a b").is_err());
        assert!(!format!("{signer:?}").contains(text.lines().next().unwrap()));
    }

    #[test]
    fn what_is_no_key_or_two_is_refused() {
        let (secret, public) = OWN;
        let other = LocalSigner::generate("example.com/log").unwrap();
        let other = other.lines().nth(1).unwrap();
        assert!(LocalSigner::parse(&format!("{secret}\n{public}\n")).is_ok());
        for (text, error) in [
            (String::new(), SignerError::Malformed),
            (secret.to_owned(), SignerError::Malformed),
            (format!("{public}\n{secret}"), SignerError::Malformed),
            (format!("{secret}\n{public}\n\n"), SignerError::Malformed),
            (format!("{secret}\n{other}"), SignerError::Mismatch),
        ] {
            assert_eq!(LocalSigner::parse(&text).unwrap_err(), error);
        }
    }
}
