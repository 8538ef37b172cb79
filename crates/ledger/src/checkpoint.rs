use signed_note::{Note, NoteError, Signature, Signer};
use tlog_tiles::{Checkpoint, tlog};

use crate::{Hash, Policy};

/// A root of the tree that the log has signed: a c2sp.org/tlog-checkpoint in a c2sp.org/signed-note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    origin: String,
    size: u64,
    root: Hash,
    text: String,
}

/// A checkpoint cannot be read, or not be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is none.
    #[error("there is no checkpoint: not the form of c2sp.org/tlog-checkpoint")]
    Malformed,
    /// The name of a log that cannot be one.
    #[error("`{0}` cannot be the origin of a log: it has a space, a plus or a line break, or nothing")]
    Origin(String),
    /// Signed by nobody who is trusted.
    #[error("no log of the policy has signed the checkpoint; it says that it is of `{0}`")]
    Unknown(String),
    /// A signature of a trusted log is wrong.
    #[error("the signature of `{0}` is wrong: the checkpoint was changed, or signed by somebody else")]
    Forged(String),
    /// The signer failed.
    #[error("the checkpoint could not be signed")]
    NotSigned,
}

impl SignedCheckpoint {
    /// What a log signs: the tree over its first entries, so many, and its root.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Origin`].
    pub fn body(origin: &str, size: u64, root: Hash) -> Result<Vec<u8>, CheckpointError> {
        let bad = || CheckpointError::Origin(origin.to_owned());
        if !signed_note::is_key_name_valid(origin) {
            return Err(bad());
        }
        Ok(Checkpoint::new(origin, size, tlog::Hash(root), "").map_err(|_| bad())?.to_bytes())
    }

    /// Has a body signed, by whoever can at once.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Malformed`], [`CheckpointError::NotSigned`].
    pub fn sign(body: &[u8], signer: &dyn Signer) -> Result<Self, CheckpointError> {
        let signature = signer.sign(body).map_err(|_| CheckpointError::NotSigned)?;
        Self::signed(body, signer.name(), signer.key_id(), signature)
    }

    /// A body with the signature of a key, by its name and its id (c2sp.org/signed-note, "Signatures").
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Malformed`].
    pub fn signed(body: &[u8], key: &str, key_id: u32, signature: Vec<u8>) -> Result<Self, CheckpointError> {
        let malformed = |_| CheckpointError::Malformed;
        let signature = Signature::new(key.to_owned(), key_id, signature).map_err(malformed)?;
        Self::of(&Note::new(body, &[signature]).map_err(malformed)?)
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let signed = Self::of(&note(text)?)?;
        // Else two texts would say the same.
        if signed.text == text { Ok(signed) } else { Err(CheckpointError::Malformed) }
    }

    fn of(note: &Note) -> Result<Self, CheckpointError> {
        let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|_| CheckpointError::Malformed)?;
        Ok(Self {
            origin: checkpoint.origin().to_owned(),
            size: checkpoint.size(),
            root: checkpoint.hash().0,
            text: String::from_utf8(note.to_bytes()).map_err(|_| CheckpointError::Malformed)?,
        })
    }

    /// Checks that a trusted log has signed it. Gives the key that did, as the policy has it.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Unknown`], [`CheckpointError::Forged`].
    pub fn verify<'p>(&self, policy: &'p Policy) -> Result<&'p str, CheckpointError> {
        let unknown = || CheckpointError::Unknown(self.origin().to_owned());
        let (verified, _) =
            note(&self.text)?.verify(&policy.verifiers(self.origin())).map_err(|error| match error {
                NoteError::InvalidSignature { name, .. } => CheckpointError::Forged(name),
                _ => unknown(),
            })?;
        let signature = verified.first().ok_or_else(unknown)?;
        policy.key(signature.name(), signature.id()).ok_or_else(unknown)
    }

    /// Which log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Over how many entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// As it is stored and published.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn note(text: &str) -> Result<Note, CheckpointError> {
    Note::from_bytes(text.as_bytes()).map_err(|_| CheckpointError::Malformed)
}

#[cfg(test)]
pub(crate) mod tests {
    use signed_note::StandardSigner;

    use super::*;

    /// A log's secret key and its public one; made by other code (Python's `cryptography`).
    pub(crate) const OWN: (&str, &str) = (
        "PRIVATE+KEY+example.com/log+9be5d3c6+AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB",
        "example.com/log+9be5d3c6+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c",
    );
    /// Another key of the same log.
    pub(crate) const LATER: &str = "example.com/log+b07fbc77+AYE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
    /// The key of `OWN` under another name.
    pub(crate) const RENAMED: &str =
        "example.com/other+fcb12073+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";

    pub(crate) fn signer() -> StandardSigner {
        StandardSigner::new(OWN.0).unwrap()
    }

    pub(crate) fn policy(key: &str) -> Policy {
        format!("log {key}\nquorum none\n").parse().unwrap()
    }

    #[test]
    fn a_signed_root_is_trusted_by_who_trusts_its_log() {
        let public = OWN.1;
        let body = SignedCheckpoint::body("example.com/log", 7, [9; 32]).unwrap();
        let checkpoint = SignedCheckpoint::sign(&body, &signer()).unwrap();
        let read = SignedCheckpoint::parse(checkpoint.text()).unwrap();
        assert_eq!((read.origin(), read.size(), read.root()), ("example.com/log", 7, [9; 32]));
        assert_eq!(read.verify(&policy(public)), Ok(public));
        // Another key of the same name, and the same key under another name.
        let unknown = Err(CheckpointError::Unknown("example.com/log".to_owned()));
        assert_eq!(read.verify(&policy(LATER)), unknown);
        assert_eq!(read.verify(&policy(RENAMED)), unknown);
        // A trusted key that signs for a log of another name.
        let body = SignedCheckpoint::body("example.com/other", 7, [9; 32]).unwrap();
        let other = SignedCheckpoint::sign(&body, &signer()).unwrap();
        assert_eq!(
            other.verify(&policy(public)),
            Err(CheckpointError::Unknown("example.com/other".to_owned()))
        );
        let forged = checkpoint.text().replacen("\n7\n", "\n8\n", 1);
        let forged = SignedCheckpoint::parse(&forged).unwrap();
        assert_eq!(
            forged.verify(&policy(public)),
            Err(CheckpointError::Forged("example.com/log".to_owned()))
        );
        for origin in ["", "a b", "a+b", "a\nb"] {
            assert!(SignedCheckpoint::body(origin, 1, [0; 32]).is_err(), "{origin:?}");
        }
    }
}
