//! The bytes of a sealed attribute.
//!
//! ```text
//! 0      format version = 1
//! 1      algorithm      = 1 (AES-256-GCM-SIV, RFC 8452)
//! 2..6   data-key version, u32 big endian
//! 6..18  nonce, 96 random bits
//! 18..   ciphertext, then the 16-byte tag
//! ```

use super::KeyVersion;

/// The format this release writes.
pub const FORMAT_VERSION: u8 = 1;
/// Length of the nonce, in bytes.
pub const NONCE_LENGTH: usize = 12;
/// Length of the authentication tag, in bytes.
pub const TAG_LENGTH: usize = 16;
/// Bytes that sealing adds to a plaintext.
pub const OVERHEAD: usize = HEADER_LENGTH + NONCE_LENGTH + TAG_LENGTH;

/// Length of what stands before the nonce, in bytes. It is authenticated as it stands.
pub(super) const HEADER_LENGTH: usize = 6;

/// How a sealed attribute was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// AES-256-GCM-SIV (RFC 8452) with a random 96-bit nonce and a 128-bit tag.
    Aes256GcmSiv,
}

impl Algorithm {
    fn id(self) -> u8 {
        match self {
            Self::Aes256GcmSiv => 1,
        }
    }
}

/// What a sealed attribute says about itself before it is opened. Nothing of it is proven until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How it was sealed.
    pub algorithm: Algorithm,
    /// The version of the subject's data key that sealed it.
    pub key_version: KeyVersion,
}

impl Header {
    /// Reads the header of a sealed attribute.
    ///
    /// # Errors
    ///
    /// [`FormatError`] if the bytes cannot be a sealed attribute of a known format.
    pub fn parse(sealed: &[u8]) -> Result<Self, FormatError> {
        Parts::split(sealed).map(|parts| parts.header)
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER_LENGTH] {
        let [a, b, c, d] = self.key_version.get().to_be_bytes();
        [FORMAT_VERSION, self.algorithm.id(), a, b, c, d]
    }
}

/// A sealed attribute, taken apart.
pub(super) struct Parts<'a> {
    pub(super) header: Header,
    pub(super) nonce: &'a [u8; NONCE_LENGTH],
    pub(super) ciphertext: &'a [u8],
    pub(super) tag: &'a [u8; TAG_LENGTH],
}

impl<'a> Parts<'a> {
    pub(super) fn split(sealed: &'a [u8]) -> Result<Self, FormatError> {
        let (&[format, algorithm, a, b, c, d], rest) =
            sealed.split_first_chunk::<HEADER_LENGTH>().ok_or(FormatError::TooShort)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(FormatError::TooShort)?;
        let (ciphertext, tag) = rest.split_last_chunk().ok_or(FormatError::TooShort)?;
        if format != FORMAT_VERSION {
            return Err(FormatError::UnknownFormat(format));
        }
        let algorithm = match algorithm {
            1 => Algorithm::Aes256GcmSiv,
            other => return Err(FormatError::UnknownAlgorithm(other)),
        };
        let key_version = u32::from_be_bytes([a, b, c, d]).into();
        Ok(Self { header: Header { algorithm, key_version }, nonce, ciphertext, tag })
    }
}

/// Bytes that cannot be a sealed attribute this release knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Fewer bytes than a header, a nonce and a tag need.
    #[error("too short to be a sealed attribute")]
    TooShort,
    /// Damaged, or written by a newer release.
    #[error("unknown format version {0}")]
    UnknownFormat(u8),
    /// Damaged, or written by a newer release.
    #[error("unknown algorithm {0}")]
    UnknownAlgorithm(u8),
}
