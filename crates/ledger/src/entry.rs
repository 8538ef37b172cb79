use std::{fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Hash;

/// What the first line of each entry is.
const FORMAT: &str = "oubliette erasure 1";

/// An entry of the ledger: somebody was forgotten. As a text, seven lines, each ended by a newline:
///
/// ```text
/// oubliette erasure 1
/// <SHA-256 of the entry before, 64 hexadecimal digits; zeros for the first>
/// <sequence, from 1>
/// <subject id>
/// <time, RFC 3339 in UTC with microseconds, such as 2026-11-23T21:05:00.123456Z>
/// <actor>
/// <destroyed keys: version, wrapping key, SHA-256 of the wrapped key; joined by "; ">
/// ```
///
/// That text is a leaf of the tree. There is one way to write an entry: what was read is written the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// SHA-256 of the text of the entry before.
    pub previous: Hash,
    /// The place in the ledger: 1 for the first, without gaps.
    pub sequence: u64,
    /// Who was forgotten.
    pub subject: Uuid,
    /// When.
    pub erased_at: DateTime<Utc>,
    /// Who asked.
    pub actor: String,
    /// The data keys that were destroyed.
    pub destroyed: Vec<DestroyedKey>,
}

/// A data key that was destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestroyedKey {
    /// Of the subject's data keys, which.
    pub version: u32,
    /// The wrapping key that it was wrapped under.
    pub kek_id: String,
    /// SHA-256 of the wrapped key.
    pub fingerprint: Hash,
}

/// A text is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Written by a later release, or by something else.
    #[error("the entry is of a form that this release does not know")]
    Format,
    /// A line is missing, or does not say what it should.
    #[error("the entry has no good {0}")]
    Line(&'static str),
}

impl Entry {
    /// SHA-256 of the text: what the next entry names, and what a receipt of a release before this one says.
    #[must_use]
    pub fn digest(&self) -> Hash {
        Sha256::digest(self.to_string()).into()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { previous, sequence, subject, erased_at, actor, destroyed } = self;
        let time = erased_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        write!(f, "{FORMAT}\n{}\n{sequence}\n{subject}\n{time}\n{actor}\n", hex::encode(previous))?;
        for (place, DestroyedKey { version, kek_id, fingerprint }) in destroyed.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}{version} {kek_id} {}", hex::encode(fingerprint))?;
        }
        f.write_str("\n")
    }
}

impl FromStr for Entry {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, EntryError> {
        let lines: Vec<_> = text.strip_suffix('\n').unwrap_or_default().split('\n').collect();
        let [format, previous, sequence, subject, time, actor, destroyed] = lines[..] else {
            let known = text.lines().next() == Some(FORMAT);
            return Err(if known { EntryError::Line("number of lines") } else { EntryError::Format });
        };
        if format != FORMAT {
            return Err(EntryError::Format);
        }
        let keys = destroyed.split("; ").filter(|key| !key.is_empty());
        let entry = Self {
            previous: unhex(previous).ok_or(EntryError::Line("digest of the entry before"))?,
            sequence: sequence.parse().map_err(|_| EntryError::Line("sequence"))?,
            subject: subject.parse().map_err(|_| EntryError::Line("subject id"))?,
            erased_at: time.parse().map_err(|_| EntryError::Line("time"))?,
            actor: actor.to_owned(),
            destroyed: keys
                .map(DestroyedKey::parse)
                .collect::<Option<_>>()
                .ok_or(EntryError::Line("list of destroyed keys"))?,
        };
        // Else two texts would say the same.
        if entry.to_string() == text {
            Ok(entry)
        } else {
            Err(EntryError::Line("form, though its lines can be read"))
        }
    }
}

impl DestroyedKey {
    fn parse(text: &str) -> Option<Self> {
        let (version, rest) = text.split_once(' ')?;
        let (kek_id, fingerprint) = rest.rsplit_once(' ')?;
        Some(Self {
            version: version.parse().ok()?,
            kek_id: kek_id.to_owned(),
            fingerprint: unhex(fingerprint)?,
        })
    }
}

fn unhex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            previous: [0; 32],
            sequence: 1,
            subject: uuid::uuid!("01890a5d-ac96-774b-bcce-b302099a8057"),
            erased_at: "2026-11-23T21:05:00.120Z".parse().unwrap(),
            actor: "api".to_owned(),
            destroyed: Vec::new(),
        }
    }

    fn key(version: u32, kek_id: &str) -> DestroyedKey {
        DestroyedKey { version, kek_id: kek_id.to_owned(), fingerprint: [7; 32] }
    }

    #[test]
    fn what_was_written_is_read_and_written_the_same() {
        for destroyed in
            [vec![], vec![key(1, "local:a")], vec![key(1, "local:a"), key(2, "arn:aws:kms:x:1:key/2")]]
        {
            let entry = Entry { destroyed, ..entry() };
            let text = entry.to_string();
            assert_eq!(text.lines().count(), 7);
            assert_eq!(text.parse(), Ok(entry));
        }
    }

    #[test]
    fn there_is_one_way_to_write_an_entry() {
        let text = Entry { destroyed: vec![key(1, "local:a")], ..entry() }.to_string();
        for (old, new, error) in [
            ("erasure 1", "erasure 9", EntryError::Format),
            ("oubliette", "Oubliette", EntryError::Format),
            ("\n1\n", "\n01\n", EntryError::Line("form, though its lines can be read")),
            ("\n1\n", "\n+1\n", EntryError::Line("form, though its lines can be read")),
            ("\n1\n", "\nx\n", EntryError::Line("sequence")),
            ("01890a5d-ac96", "01890A5D-ac96", EntryError::Line("form, though its lines can be read")),
            ("01890a5d-ac96", "01890a5d_ac96", EntryError::Line("subject id")),
            ("120000Z", "12Z", EntryError::Line("form, though its lines can be read")),
            ("120000Z", "120000+00:00", EntryError::Line("form, though its lines can be read")),
            ("2026-11-23", "2026-11-32", EntryError::Line("time")),
            ("0000\n1\n", "000\n1\n", EntryError::Line("digest of the entry before")),
            ("local:a 07", "local:a 7", EntryError::Line("list of destroyed keys")),
            ("0707\n", "070A\n", EntryError::Line("form, though its lines can be read")),
            ("api\n", "api\nmore\n", EntryError::Line("number of lines")),
        ] {
            let other = text.replacen(old, new, 1);
            assert_ne!(other, text, "{old}");
            assert_eq!(other.parse::<Entry>(), Err(error), "{other}");
        }
        for other in ["", "\n", text.trim_end(), &format!("{text}\n"), &text.replace('\n', "\r\n")] {
            assert!(other.parse::<Entry>().is_err(), "{other:?}");
        }
    }
}
