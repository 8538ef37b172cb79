use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroizing, zeroize_stack};

use super::{KEY_LENGTH, KeyMaterial, PersonalText};

/// Length of a tag, in bytes. Half of HMAC-SHA-256: among 2^32 values, two have the same tag with a probability of 2^-65.
pub const INDEX_TAG_LENGTH: usize = 16;

/// Length of a [blinded value](BlindedValue), and of the MAC that somebody else makes of it, in bytes: all of HMAC-SHA-256.
pub const MAC_LENGTH: usize = 32;

/// What the input of each tag begins with: no other use of such a key has the same input.
const TAG: &[u8] = b"oubliette index 1";

/// The same of a blinded value.
const BLINDED: &[u8] = b"oubliette index blinded 1";

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

/// A value as somebody else gets it who makes a MAC of it with a key of their own: HMAC-SHA-256 under the index key. It tells them nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlindedValue([u8; MAC_LENGTH]);

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
        self.tag_of([attribute.as_bytes(), rules.as_bytes(), value.expose().as_bytes()])
    }

    /// What is handed out of a value if its tag is to need another key besides, which somebody else keeps.
    #[must_use]
    pub fn blinded(&self, attribute: &str, rules: &str, value: &PersonalText) -> BlindedValue {
        BlindedValue(*self.mac([BLINDED, attribute.as_bytes(), rules.as_bytes(), value.expose().as_bytes()]))
    }

    /// The tag of a value by what somebody else made of [`IndexKey::blinded`].
    #[must_use]
    pub fn tag_by_mac(&self, attribute: &str, rules: &str, mac: &[u8; MAC_LENGTH]) -> IndexTag {
        self.tag_of([attribute.as_bytes(), rules.as_bytes(), mac])
    }

    fn tag_of(&self, [attribute, rules, input]: [&[u8]; 3]) -> IndexTag {
        let whole = self.mac([TAG, attribute, rules, input]);
        let mut tag = [0; INDEX_TAG_LENGTH];
        tag.copy_from_slice(&whole[..INDEX_TAG_LENGTH]);
        IndexTag(tag)
    }

    fn mac(&self, parts: [&[u8]; 4]) -> Zeroizing<[u8; MAC_LENGTH]> {
        let mac = self.mac_on_the_stack(parts);
        zeroize_stack::<STACK_OF_TAG>();
        mac
    }

    #[inline(never)]
    fn mac_on_the_stack(&self, parts: [&[u8]; 4]) -> Zeroizing<[u8; MAC_LENGTH]> {
        // RFC 2104, section 2: a shorter key is filled up with zeros.
        let mut block = Zeroizing::new([0; BLOCK_LENGTH]);
        block[..KEY_LENGTH].copy_from_slice(self.0.expose());
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        for part in parts {
            // A usize has at most 64 bits.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

impl IndexTag {
    /// The bytes, as an index has them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; INDEX_TAG_LENGTH] {
        &self.0
    }
}

impl BlindedValue {
    /// The bytes, as they are handed out.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; MAC_LENGTH] {
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

impl fmt::Debug for BlindedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlindedValue([redacted])")
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
        /// Where a MAC of somebody else is in between.
        blinded: Option<String>,
        mac: Option<String>,
    }

    #[test]
    fn tags_are_those_of_every_release() {
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../../../tests/vectors/index_tags.json")).unwrap();
        assert!(vectors.iter().any(|vector| vector.mac.is_none()));
        assert!(vectors.iter().any(|vector| vector.mac.is_some()));
        for Vector { key, attribute, rules, value, tag, blinded, mac } in vectors {
            let key = IndexKey::new(KeyMaterial::from_slice(&bytes(&key)).unwrap());
            let value = PersonalText::new(value);
            let made = if let Some(mac) = mac {
                let made = key.blinded(&attribute, &rules, &value);
                assert_eq!(Some(hex(made.as_bytes())), blinded, "{attribute} {rules}");
                key.tag_by_mac(&attribute, &rules, &bytes(&mac).try_into().unwrap())
            } else {
                key.tag(&attribute, &rules, &value)
            };
            assert_eq!(hex(made.as_bytes()), tag, "{attribute} {rules}");
        }
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    fn debug_shows_neither_key_nor_tag_nor_what_is_handed_out() {
        let key = IndexKey::new(KeyMaterial::from_slice(&[7; KEY_LENGTH]).unwrap());
        let value = PersonalText::new("ada@example.com".to_owned());
        let (tag, blinded) = (key.tag("email", "email/1", &value), key.blinded("email", "email/1", &value));
        assert_eq!(
            format!("{key:?} {tag:?} {blinded:?}"),
            "IndexKey([redacted]) IndexTag([redacted]) BlindedValue([redacted])"
        );
    }
}
