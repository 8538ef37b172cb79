use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::{Zeroizing, zeroize_stack};

use crate::{
    DataKeyIdentity,
    envelope::{DataKeyId, KEY_LENGTH, KeyMaterial},
};

/// Length of a key commitment, in bytes: SHA-256.
pub const COMMITMENT_LENGTH: usize = 32;

/// What a commitment is taken over begins with this.
const CONTEXT: &[u8; 15] = b"oubliette key 1";

/// Of all that a commitment is taken over.
const LENGTH: usize = CONTEXT.len() + 16 + 16 + 4 + KEY_LENGTH;

/// What hashing leaves on the stack, and some more, in bytes.
const STACK_OF_HASH: usize = if cfg!(debug_assertions) { 16 * 1024 } else { 4 * 1024 };

/// What fixes a data key without telling it: a person who has seen it recognizes the key in the record of its destruction. The same
/// after a rewrap, another one after a rotation.
///
/// SHA-256 over `oubliette key 1`, the key's identity (16 bytes), the subject id (16), the version (4, big-endian) and the
/// key (32). The key is random and as long as the hash: nobody finds it by trying.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyCommitment([u8; COMMITMENT_LENGTH]);

impl KeyCommitment {
    /// Of a data key.
    #[must_use]
    pub fn of(id: DataKeyId, identity: DataKeyIdentity, material: &KeyMaterial) -> Self {
        let commitment = Self(hash(id, identity, material));
        zeroize_stack::<STACK_OF_HASH>();
        commitment
    }

    /// The hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; COMMITMENT_LENGTH] {
        &self.0
    }

    /// As the table has it. Of another length, it is no key's.
    pub(crate) fn from_column(bytes: Option<Vec<u8>>) -> Option<Self> {
        Some(Self(bytes?.try_into().unwrap_or_default()))
    }

    pub(crate) fn into_column(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

/// A call of its own, so that all it leaves on the stack is below its caller.
#[inline(never)]
fn hash(id: DataKeyId, identity: DataKeyIdentity, material: &KeyMaterial) -> [u8; COMMITMENT_LENGTH] {
    let mut text = Zeroizing::new(Vec::with_capacity(LENGTH));
    text.extend_from_slice(CONTEXT);
    text.extend_from_slice(Uuid::from(identity).as_bytes());
    text.extend_from_slice(id.subject.as_uuid().as_bytes());
    text.extend_from_slice(&id.version.get().to_be_bytes());
    text.extend_from_slice(material.expose());
    Sha256::digest(&*text).into()
}

/// In hexadecimal.
impl fmt::Display for KeyCommitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyCommitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyCommitment({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Uuid = uuid::uuid!("6f1c2f0e-0f6c-4a53-9a0e-0d6a3c9b1f22");
    const SUBJECT: Uuid = uuid::uuid!("01890a5d-ac96-774b-bcce-b302099a8057");

    fn commitment(identity: Uuid, subject: Uuid, version: u32, material: [u8; KEY_LENGTH]) -> String {
        let id = DataKeyId { subject: subject.into(), version: version.into() };
        KeyCommitment::of(id, identity.into(), &KeyMaterial::from_slice(&material).unwrap()).to_string()
    }

    /// The figure comes from a shell: `{ printf 'oubliette key 1'; xxd -r -p <<<'IDENTITY SUBJECT 00000003'; printf '%032d' 0 | tr 0 k; } |
    /// sha256sum`.
    #[test]
    fn a_commitment_is_the_documented_one_and_another_for_another_key() {
        let expected = "9935e4fc661a3798c22af73bb7340504582a8ef446e9a06fe8df534b708e4268";
        assert_eq!(commitment(IDENTITY, SUBJECT, 3, [b'k'; 32]), expected);
        let mut other = [b'k'; 32];
        other[31] ^= 1;
        for another in [
            commitment(SUBJECT, SUBJECT, 3, [b'k'; 32]),
            commitment(IDENTITY, IDENTITY, 3, [b'k'; 32]),
            commitment(IDENTITY, SUBJECT, 4, [b'k'; 32]),
            commitment(IDENTITY, SUBJECT, 3, other),
        ] {
            assert_ne!(another, expected);
        }
    }
}
