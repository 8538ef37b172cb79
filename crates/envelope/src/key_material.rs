use std::fmt;

use zeroize::Zeroizing;

/// Length of a data key, in bytes: 256 bits.
pub const KEY_LENGTH: usize = 32;

/// The raw bytes of a data key: only for wrapping it and for building a [`DataKey`](super::DataKey).
///
/// On the heap, so that moving it leaves no copy behind; wiped when dropped; `Debug` shows nothing.
pub struct KeyMaterial(Box<Zeroizing<[u8; KEY_LENGTH]>>);

impl KeyMaterial {
    /// A fresh key from the operating system's random number generator.
    ///
    /// # Errors
    ///
    /// [`RandomnessError`] if the operating system gives no randomness.
    pub fn generate() -> Result<Self, RandomnessError> {
        let mut bytes = Box::new(Zeroizing::new([0; KEY_LENGTH]));
        getrandom::fill(bytes.as_mut_slice()).map_err(RandomnessError)?;
        Ok(Self(bytes))
    }

    /// Copies a key out of a buffer that the caller wipes. `None` unless it is 32 bytes long.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut material = Box::new(Zeroizing::new([0; KEY_LENGTH]));
        if bytes.len() != KEY_LENGTH {
            return None;
        }
        material.copy_from_slice(bytes);
        Some(Self(material))
    }

    /// The raw key.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaterial([redacted])")
    }
}

/// The operating system gave no randomness. Nothing can be sealed or generated until it does.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the operating system's random number generator failed")]
pub struct RandomnessError(#[source] getrandom::Error);
