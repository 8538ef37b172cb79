use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What every token begins with, so that scanners of leaked secrets can be taught to find them.
const PREFIX: &str = "oub_";
const SECRET_BYTES: usize = 32;
const CHECK_BYTES: usize = 4;

/// An opaque token: `oub_`, then 256 random bits and a checksum of 32 bits in base64url.
///
/// The checksum keeps slips and guesses from costing a look-up. Nothing prints a token but
/// [`SecretToken::expose`].
pub struct SecretToken(Zeroizing<String>);

/// What is stored of a token: its SHA-256. A fast hash is enough, since nobody can try 2^256 tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl SecretToken {
    /// A fresh token, from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES + CHECK_BYTES]);
        let (secret, check) = bytes.split_at_mut(SECRET_BYTES);
        getrandom::fill(secret)?;
        check.copy_from_slice(&checksum(secret));
        let encoded = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes));
        Ok(Self(Zeroizing::new(format!("{PREFIX}{}", *encoded))))
    }

    /// The token itself. To be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretToken([redacted])")
    }
}

impl TokenHash {
    /// The hash of what somebody sent; `None` if it cannot be a token of ours.
    #[must_use]
    pub fn of(sent: &str) -> Option<Self> {
        let encoded = sent.strip_prefix(PREFIX)?;
        let bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(encoded).ok()?);
        let (secret, check) = bytes.split_at_checked(SECRET_BYTES)?;
        (check == checksum(secret)).then(|| Self(Sha256::digest(sent.as_bytes()).into()))
    }

    /// The hash's bytes, as the database stores them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn checksum(secret: &[u8]) -> [u8; CHECK_BYTES] {
    let digest = Sha256::digest(secret);
    [digest[0], digest[1], digest[2], digest[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_and_slips_are_not_tokens() {
        let token = SecretToken::generate().unwrap();
        assert_eq!(token.expose().len(), 52);
        assert_eq!(TokenHash::of(token.expose()), Some(token.hash()));
        assert_ne!(token.hash(), SecretToken::generate().unwrap().hash());
        for place in 0..token.expose().len() {
            let mut slip: Vec<u8> = token.expose().into();
            slip[place] = if slip[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(TokenHash::of(std::str::from_utf8(&slip).unwrap()), None, "place {place}");
        }
        for sent in ["", "oub_", "oub_AAAA", &token.expose()[4..], &format!("{}A", token.expose())] {
            assert_eq!(TokenHash::of(sent), None);
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = SecretToken::generate().unwrap();
        assert_eq!(format!("{token:?}"), "SecretToken([redacted])");
    }
}
