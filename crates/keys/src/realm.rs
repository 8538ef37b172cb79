use std::fmt;

use sha2::{Digest, Sha256};

/// Who can rewrap whose data keys without opening them: see [`KeyBackend::realm`](super::KeyBackend::realm).
///
/// Can be compared, and no more: a digest, so that what it was made of cannot be read from it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Realm([u8; 32]);

impl Realm {
    /// The realm of a kind of backend and of what tells one service from another: its address, credentials, additions to the
    /// context. What is not set differs from what is set to nothing.
    #[must_use]
    pub fn of<'a>(kind: &'a str, parts: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        Self::digest("kind", [Some(kind)].into_iter().chain(parts))
    }

    /// The realm of one backend, which it shares with nobody.
    #[must_use]
    pub fn alone(backend: &str) -> Self {
        Self::digest("alone", [Some(backend)])
    }

    fn digest<'a>(domain: &'static str, parts: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let mut digest = Sha256::new();
        for part in [Some(domain)].into_iter().chain(parts) {
            digest.update([u8::from(part.is_some())]);
            let part = part.unwrap_or_default();
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }
}

impl fmt::Debug for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Realm(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realms_are_the_same_if_every_part_is() {
        let realm = |parts: &[Option<&'static str>]| Realm::of("kms", parts.iter().copied());
        assert_eq!(realm(&[Some("a"), None]), realm(&[Some("a"), None]));
        let all = [
            realm(&[Some("a"), None]),
            realm(&[Some("a"), Some("")]),
            realm(&[Some("a")]),
            realm(&[None, Some("a")]),
            realm(&[Some("ab")]),
            realm(&[Some("a"), Some("b")]),
            // As the two before, joined by what stands between them.
            realm(&[Some("a\u{1}b")]),
            realm(&[Some("a\u{1}\0\0\0\0\0\0\0\u{1}b")]),
            Realm::of("other", [Some("a")]),
            Realm::alone("a"),
            Realm::alone("kms"),
        ];
        for (position, one) in all.iter().enumerate() {
            assert!(!all[position + 1..].contains(one), "{position}");
        }
    }
}
