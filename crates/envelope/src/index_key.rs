use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroizing, zeroize_stack};

use super::{KEY_LENGTH, KeyMaterial, PersonalText};

/// Length of a tag, in bytes. Half of HMAC-SHA-256: among 2^32 values, two have the same tag with a probability of 2^-65.
pub const INDEX_TAG_LENGTH: usize = 16;

/// What the input of each tag begins with: no other use of such a key has the same input.
const DOMAIN: &str = "oubliette index 1";

/// What SHA-256 takes at a time, in bytes.
const BLOCK_LENGTH: usize = 64;

/// What HMAC and SHA-256 use of the stack, in bytes; more where nothing is inlined.
const STACK_OF_TAG: usize = if cfg!(debug_assertions) { 16 * 1024 } else { 4 * 1024 };

/// Makes tags by which a value is found again, and that tell nothing of it to whoever lacks the key: HMAC-SHA-256 (RFC 2104, RFC 6234), the
/// first 16 bytes of it.
///
/// Whoever has the key can try values. So it is wrapped as data keys are, and ends with its epoch.
pub struct IndexKey(KeyMaterial);

/// What stands for a value in an index. Equal values have equal tags, under one key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexTag([u8; INDEX_TAG_LENGTH]);

impl IndexKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(material: KeyMaterial) -> Self {
        Self(material)
    }

    /// The tag of a value that was normalised: of this attribute, by these rules. Each part stands after its length, so that no two inputs are
    /// the same.
    #[must_use]
    pub fn tag(&self, attribute: &str, rules: &str, value: &PersonalText) -> IndexTag {
        let tag = self.mac([DOMAIN, attribute, rules, value.expose()]);
        zeroize_stack::<STACK_OF_TAG>();
        tag
    }

    #[inline(never)]
    fn mac(&self, parts: [&str; 4]) -> IndexTag {
        // RFC 2104, section 2: a shorter key is filled up with zeros.
        let mut block = Zeroizing::new([0; BLOCK_LENGTH]);
        block[..KEY_LENGTH].copy_from_slice(self.0.expose());
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        for part in parts {
            // A usize has at most 64 bits.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let whole: Zeroizing<[u8; 32]> = Zeroizing::new(mac.finalize().into_bytes().into());
        let mut tag = [0; INDEX_TAG_LENGTH];
        tag.copy_from_slice(&whole[..INDEX_TAG_LENGTH]);
        IndexTag(tag)
    }
}

impl IndexTag {
    /// The bytes, as an index has them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; INDEX_TAG_LENGTH] {
        &self.0
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey([redacted])")
    }
}

impl fmt::Debug for IndexTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexTag([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        key: String,
        attribute: String,
        rules: String,
        value: String,
        tag: String,
    }

    #[test]
    fn tags_are_those_of_every_release() {
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../../../tests/vectors/index_tags.json")).unwrap();
        assert!(!vectors.is_empty());
        for Vector { key, attribute, rules, value, tag } in vectors {
            let bytes: Vec<_> = (0..key.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap())
                .collect();
            let key = IndexKey::new(KeyMaterial::from_slice(&bytes).unwrap());
            let made = key.tag(&attribute, &rules, &PersonalText::new(value));
            let hex: String = made.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, tag, "{attribute} {rules}");
        }
    }

    #[test]
    fn what_moves_from_one_part_to_another_has_another_tag() {
        let key = IndexKey::new(KeyMaterial::generate().unwrap());
        let tag =
            |attribute, rules, value: &str| key.tag(attribute, rules, &PersonalText::new(value.to_owned()));
        let tags = [
            tag("ab", "c", "d"),
            tag("a", "bc", "d"),
            tag("a", "b", "cd"),
            tag("ab", "", "cd"),
            tag("", "abc", "d"),
        ];
        for (place, one) in tags.iter().enumerate() {
            assert!(tags[place + 1..].iter().all(|other| one != other));
        }
        assert_eq!(tag("ab", "c", "d"), tags[0]);
    }

    #[test]
    fn debug_shows_neither_key_nor_tag() {
        let key = IndexKey::new(KeyMaterial::from_slice(&[7; KEY_LENGTH]).unwrap());
        let tag = key.tag("email", "email/1", &PersonalText::new("ada@example.com".to_owned()));
        assert_eq!(format!("{key:?} {tag:?}"), "IndexKey([redacted]) IndexTag([redacted])");
    }
}
