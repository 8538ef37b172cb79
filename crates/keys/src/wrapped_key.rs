use std::fmt;

use sha2::{Digest, Sha256};

/// Names a wrapping key (KEK): a KMS key ARN, or `local:<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KekId(String);

impl KekId {
    /// Takes an id as a backend or the database gives it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as text, as the database stores it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A data key under a wrapping key: useless without the backend that owns the wrapping key.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The wrapping key.
    pub kek_id: KekId,
    /// What the backend made of the data key. Only that backend knows the format.
    pub bytes: Vec<u8>,
}

impl WrappedKey {
    /// SHA-256 of the wrapped bytes: tells which wrapped key was destroyed without containing it.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({}, {} bytes)", self.kek_id, self.bytes.len())
    }
}
