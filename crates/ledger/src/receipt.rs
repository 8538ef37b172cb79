use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{CheckpointError, Entry, EntryError, Hash, Policy, SignedCheckpoint, tree};

/// What the first line of each receipt is.
const FORMAT: &str = "c2sp.org/tlog-proof@v1";

/// More hashes than any proof has.
const MOST_HASHES: usize = 64;

/// That an entry is in the ledger, mostly that somebody was forgotten, for strangers: a c2sp.org/tlog-proof, whose extra data is the text of the entry.
///
/// As a text it is the receipt that a person gets, in a file that ends in `.tlog-proof`.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The text of the entry.
    pub entry: String,
    /// Its place in the tree, from 0.
    pub index: u64,
    /// From the entry's neighbour to the root (RFC 6962, section 2.1.1).
    pub proof: Vec<Hash>,
    /// The root that the log has signed.
    pub checkpoint: SignedCheckpoint,
}

/// What a receipt has proven.
#[derive(Clone, Debug)]
pub struct Proven<'p> {
    /// What happened, when, and who asked.
    pub entry: Entry,
    /// The key of the log that says so, as the policy has it.
    pub log: &'p str,
    /// Over how many entries the log has signed.
    pub size: u64,
}

/// A receipt cannot be read, or proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It is none.
    #[error("this is no receipt: {0}")]
    Malformed(&'static str),
    /// What it says was erased.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Who says so.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The entry is not in that log.
    #[error("the entry is not in the log that was signed: the receipt was changed, or is of another log")]
    NotIncluded,
    /// The entry is at another place than it says.
    #[error("the entry says that it is number {sequence}, and stands at number {place}")]
    Misplaced {
        /// As the entry says.
        sequence: u64,
        /// As the proof has it.
        place: u64,
    },
}

impl Receipt {
    /// Checks all of it, against the logs that are trusted.
    ///
    /// # Errors
    ///
    /// [`ReceiptError`]: then it proves nothing.
    pub fn verify<'p>(&self, policy: &'p Policy) -> Result<Proven<'p>, ReceiptError> {
        let Self { entry: text, index, proof, checkpoint } = self;
        let log = checkpoint.verify(policy)?;
        let signed = (checkpoint.size(), checkpoint.root());
        tree::check_inclusion(text, *index, proof, signed).map_err(|_| ReceiptError::NotIncluded)?;
        let entry: Entry = text.parse()?;
        if entry.sequence.checked_sub(1) != Some(*index) {
            let place = index.saturating_add(1);
            return Err(ReceiptError::Misplaced { sequence: entry.sequence, place });
        }
        Ok(Proven { entry, log, size: checkpoint.size() })
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry, index, proof, checkpoint } = self;
        write!(f, "{FORMAT}\nextra {}\nindex {index}\n", BASE64_STANDARD.encode(entry))?;
        for hash in proof {
            writeln!(f, "{}", BASE64_STANDARD.encode(hash))?;
        }
        write!(f, "\n{}", checkpoint.text())
    }
}

impl FromStr for Receipt {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, ReceiptError> {
        let (proof, checkpoint) =
            text.split_once("\n\n").ok_or(ReceiptError::Malformed("there is no empty line"))?;
        let mut lines = proof.split('\n');
        if lines.next() != Some(FORMAT) {
            return Err(ReceiptError::Malformed("the first line is not `c2sp.org/tlog-proof@v1`"));
        }
        let mut after = |word| lines.next().and_then(|line| line.strip_prefix(word));
        let entry = after("extra ").and_then(|extra| BASE64_STANDARD.decode(extra).ok());
        let entry = entry.and_then(|entry| String::from_utf8(entry).ok());
        let entry =
            entry.ok_or(ReceiptError::Malformed("the second line is not `extra` and a text in Base64"))?;
        let index = after("index ").and_then(|index| index.parse().ok());
        let index = index.ok_or(ReceiptError::Malformed("the third line is not `index` and a number"))?;
        let proof: Vec<Hash> = lines
            .map(|line| BASE64_STANDARD.decode(line).ok()?.try_into().ok())
            .collect::<Option<_>>()
            .ok_or(ReceiptError::Malformed("a line of the proof is no hash in Base64"))?;
        if proof.len() > MOST_HASHES {
            return Err(ReceiptError::Malformed("the proof has more than 64 hashes"));
        }
        let receipt = Self { entry, index, proof, checkpoint: SignedCheckpoint::parse(checkpoint)? };
        // Else two texts would say the same.
        if receipt.to_string() == text {
            Ok(receipt)
        } else {
            Err(ReceiptError::Malformed("it is not written as c2sp.org/tlog-proof has it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Erasure, Event,
        checkpoint::tests::{LATER, OWN, policy, signer},
    };

    const ORIGIN: &str = "example.com/log";

    fn entry(sequence: u64) -> Entry {
        Entry {
            previous: [u8::try_from(sequence).unwrap(); 32],
            sequence,
            at: "2026-11-23T21:05:00.120Z".parse().unwrap(),
            actor: "token:support".to_owned(),
            event: Event::Erasure2(Erasure {
                subject: uuid::Uuid::from_u128(sequence.into()),
                destroyed: Vec::new(),
            }),
        }
    }

    /// A receipt for an entry of a log of so many, and the policy that trusts it.
    fn receipt(index: u64, size: u64) -> (Receipt, Policy) {
        let entries: Vec<_> = (1..=size).map(|sequence| entry(sequence).to_string()).collect();
        let mut stored = tree::Stored::new();
        for (index, entry) in (0..).zip(&entries) {
            let hashes = tree::append(index, entry, &stored).unwrap();
            stored.extend((tree::first_stored(index)..).zip(hashes));
        }
        let body = SignedCheckpoint::body(ORIGIN, size, tree::root(size, &stored).unwrap()).unwrap();
        let receipt = Receipt {
            entry: entries[usize::try_from(index).unwrap()].clone(),
            index,
            proof: tree::prove_inclusion(index, size, &stored).unwrap(),
            checkpoint: SignedCheckpoint::sign(&body, &signer()).unwrap(),
        };
        (receipt, policy(OWN.1))
    }

    #[test]
    fn each_changed_byte_is_refused() {
        for (index, size) in [(0, 1), (0, 2), (4, 7), (6, 7), (12, 20)] {
            let (receipt, policy) = receipt(index, size);
            let text = receipt.to_string();
            let read: Receipt = text.parse().unwrap();
            let proven = read.verify(&policy).unwrap();
            assert_eq!((proven.entry.sequence, proven.size), (index + 1, size));
            for place in 0..text.len() {
                for change in [1, 0x20, 0x80] {
                    let mut bytes = text.clone().into_bytes();
                    bytes[place] ^= change;
                    let Ok(changed) = String::from_utf8(bytes) else { continue };
                    let verified = changed.parse::<Receipt>().and_then(|one| one.verify(&policy).map(drop));
                    assert!(verified.is_err(), "{place} {change:x}\n{changed}");
                }
            }
            for cut in 0..text.len() {
                if text.is_char_boundary(cut) {
                    assert!(text[..cut].parse::<Receipt>().is_err(), "{cut}");
                }
            }
        }
    }

    #[test]
    fn an_entry_of_another_log_or_another_place_is_refused() {
        let (own, policy) = receipt(4, 7);
        let (other, _) = receipt(4, 8);
        let swapped = Receipt { checkpoint: other.checkpoint.clone(), ..own.clone() };
        assert_eq!(swapped.verify(&policy).unwrap_err(), ReceiptError::NotIncluded);
        let elsewhere = Receipt { index: 5, ..own.clone() };
        assert_eq!(elsewhere.verify(&policy).unwrap_err(), ReceiptError::NotIncluded);
        let beyond = Receipt { index: 7, ..own.clone() };
        assert_eq!(beyond.verify(&policy).unwrap_err(), ReceiptError::NotIncluded);
        let another = Receipt { entry: entry(4).to_string(), ..own };
        assert_eq!(another.verify(&policy).unwrap_err(), ReceiptError::NotIncluded);
        let untrusted = crate::checkpoint::tests::policy(LATER);
        assert!(matches!(
            other.verify(&untrusted),
            Err(ReceiptError::Checkpoint(CheckpointError::Unknown(_)))
        ));
    }
}
