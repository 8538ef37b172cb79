use std::{fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{DestroyedKey, Form, Hash, Rotation};

/// An entry of the ledger: something that a restored backup must not undo. As a text, lines, each ended by a newline:
///
/// ```text
/// oubliette erasure 2
/// <SHA-256 of the entry before, 64 hexadecimal digits; zeros for the first>
/// <sequence, from 1>
/// <subject id>
/// <time, RFC 3339 in UTC with microseconds, such as 2026-11-23T21:05:00.123456Z>
/// <actor>
/// <destroyed keys: version, wrapping key, SHA-256 of the wrapped key, key commitment or `-`; joined by "; ">
/// ```
///
/// An `oubliette erasure 1`, as earlier releases wrote it, has no key commitments. An `oubliette revocation 1` has the id of an access
/// token in the place of the subject's, and no last line. An `oubliette rotation 1` has a random id there, and as the last line a time and
/// `everybody`, or a time and subject ids: their data keys that had been made before that time were replaced by fresh ones.
///
/// That text is a leaf of the tree. There is one way to write an entry: what was read is written the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// SHA-256 of the text of the entry before.
    pub previous: Hash,
    /// The place in the ledger: 1 for the first, without gaps.
    pub sequence: u64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Who asked.
    pub actor: String,
    /// What happened.
    pub event: Event,
}

/// What an entry tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody was forgotten; written without key commitments.
    Erasure1(Erasure),
    /// Somebody was forgotten.
    Erasure2(Erasure),
    /// An access token was revoked.
    Revocation1 {
        /// The id of the token.
        token: Uuid,
    },
    /// Data keys were replaced by fresh ones.
    Rotation1 {
        /// Random.
        id: Uuid,
        /// Which.
        rotation: Rotation,
    },
}

/// Somebody was forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Who.
    pub subject: Uuid,
    /// The data keys that were destroyed.
    pub destroyed: Vec<DestroyedKey>,
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

    /// How its text begins.
    #[must_use]
    pub fn form(&self) -> Form {
        match self.event {
            Event::Erasure1(_) => Form::Erasure1,
            Event::Erasure2(_) => Form::Erasure2,
            Event::Revocation1 { .. } => Form::Revocation1,
            Event::Rotation1 { .. } => Form::Rotation1,
        }
    }

    /// The erasure that it tells of, if it tells of one.
    #[must_use]
    pub fn erasure(&self) -> Option<&Erasure> {
        match &self.event {
            Event::Erasure1(erasure) | Event::Erasure2(erasure) => Some(erasure),
            Event::Revocation1 { .. } | Event::Rotation1 { .. } => None,
        }
    }

    /// The id that it is about, and its last line, if it has one.
    fn about(&self) -> (Uuid, Option<String>) {
        match &self.event {
            Event::Erasure1(Erasure { subject, destroyed })
            | Event::Erasure2(Erasure { subject, destroyed }) => {
                (*subject, Some(DestroyedKey::list(destroyed, self.form())))
            }
            Event::Revocation1 { token } => (*token, None),
            Event::Rotation1 { id, rotation } => (*id, Some(rotation.to_string())),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { previous, sequence, at, actor, .. } = self;
        let (id, last) = self.about();
        let time = at.to_rfc3339_opts(SecondsFormat::Micros, true);
        write!(f, "{}\n{}\n{sequence}\n{id}\n{time}\n{actor}\n", self.form(), hex::encode(previous))?;
        last.map_or(Ok(()), |last| writeln!(f, "{last}"))
    }
}

impl FromStr for Entry {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, EntryError> {
        let mut lines = text.strip_suffix('\n').unwrap_or_default().split('\n');
        let form: Form = lines.next().unwrap_or_default().parse()?;
        let lines: Vec<_> = lines.collect();
        let number = EntryError::Line("number of lines");
        let (head, last) = match form {
            Form::Erasure1 | Form::Erasure2 | Form::Rotation1 => {
                lines.split_last().map(|(keys, head)| (head, *keys)).ok_or(number)?
            }
            Form::Revocation1 => (&lines[..], ""),
        };
        let [previous, sequence, id, time, actor] = head[..] else { return Err(number) };
        let id_of = |whose| id.parse().map_err(|_| EntryError::Line(whose));
        let erasure = || {
            let destroyed = DestroyedKey::parse_list(last, form);
            let destroyed = destroyed.ok_or(EntryError::Line("list of destroyed keys"))?;
            Ok(Erasure { subject: id_of("subject id")?, destroyed })
        };
        let entry = Self {
            previous: unhex(previous).ok_or(EntryError::Line("digest of the entry before"))?,
            sequence: sequence.parse().map_err(|_| EntryError::Line("sequence"))?,
            at: time.parse().map_err(|_| EntryError::Line("time"))?,
            actor: actor.to_owned(),
            event: match form {
                Form::Erasure1 => Event::Erasure1(erasure()?),
                Form::Erasure2 => Event::Erasure2(erasure()?),
                Form::Revocation1 => Event::Revocation1 { token: id_of("token id")? },
                Form::Rotation1 => Event::Rotation1 {
                    id: id_of("id")?,
                    rotation: last.parse().map_err(|()| EntryError::Line("list of subjects"))?,
                },
            },
        };
        // Else two texts would say the same.
        if entry.to_string() == text {
            Ok(entry)
        } else {
            Err(EntryError::Line("form, though its lines can be read"))
        }
    }
}

pub(crate) fn unhex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Uuid = uuid::uuid!("01890a5d-ac96-774b-bcce-b302099a8057");

    fn entry(event: Event) -> Entry {
        Entry {
            previous: [0; 32],
            sequence: 1,
            at: "2026-11-23T21:05:00.120Z".parse().unwrap(),
            actor: "api".to_owned(),
            event,
        }
    }

    fn erasure(destroyed: Vec<DestroyedKey>) -> Erasure {
        Erasure { subject: SUBJECT, destroyed }
    }

    fn rotation(subjects: Option<Vec<Uuid>>) -> Event {
        let made_before = "2026-11-23T21:05:00.120Z".parse().unwrap();
        Event::Rotation1 { id: Uuid::nil(), rotation: Rotation { made_before, subjects } }
    }

    fn key(version: u32, kek_id: &str, commitment: Option<Hash>) -> DestroyedKey {
        DestroyedKey { version, kek_id: kek_id.to_owned(), fingerprint: [7; 32], commitment }
    }

    #[test]
    fn what_was_written_is_read_and_written_the_same() {
        let (one, other) = ("local:a", "arn:aws:kms:x:1:key/2");
        for (event, lines) in [
            (Event::Erasure1(erasure(vec![])), 7),
            (Event::Erasure1(erasure(vec![key(1, one, None)])), 7),
            (Event::Erasure1(erasure(vec![key(1, one, None), key(2, other, None)])), 7),
            (Event::Erasure2(erasure(vec![])), 7),
            (Event::Erasure2(erasure(vec![key(1, one, None), key(2, other, Some([9; 32]))])), 7),
            (Event::Revocation1 { token: SUBJECT }, 6),
            (rotation(None), 7),
            (rotation(Some(vec![SUBJECT])), 7),
            (rotation(Some(vec![SUBJECT, Uuid::nil()])), 7),
        ] {
            let entry = entry(event);
            let text = entry.to_string();
            assert_eq!(text.lines().count(), lines);
            assert_eq!(text.lines().next(), Some(entry.form().as_str()));
            assert_eq!(text.parse(), Ok(entry));
        }
    }

    #[test]
    fn there_is_one_way_to_write_an_entry() {
        let form = "form, though its lines can be read";
        let text = entry(Event::Erasure1(erasure(vec![key(1, "local:a", None)]))).to_string();
        let lines = [
            ("erasure 1", "erasure 9", None),
            ("oubliette", "Oubliette", None),
            ("erasure 1", "revocation 1", Some("number of lines")),
            ("\n1\n", "\n01\n", Some(form)),
            ("\n1\n", "\n+1\n", Some(form)),
            ("\n1\n", "\nx\n", Some("sequence")),
            ("01890a5d-ac96", "01890A5D-ac96", Some(form)),
            ("01890a5d-ac96", "01890a5d_ac96", Some("subject id")),
            ("120000Z", "12Z", Some(form)),
            ("120000Z", "120000+00:00", Some(form)),
            ("2026-11-23", "2026-11-32", Some("time")),
            ("0000\n1\n", "000\n1\n", Some("digest of the entry before")),
            ("local:a 07", "local:a 7", Some("list of destroyed keys")),
            ("0707\n", "070A\n", Some(form)),
            ("api\n", "api\nmore\n", Some("number of lines")),
        ];
        refuses(&text, &lines);
        for other in ["", "\n", text.trim_end(), &format!("{text}\n"), &text.replace('\n', "\r\n")] {
            assert!(other.parse::<Entry>().is_err(), "{other:?}");
        }

        let keys = vec![key(1, "local:a", Some([9; 32])), key(2, "local:a", None)];
        let text = entry(Event::Erasure2(erasure(keys))).to_string();
        let lines = [
            // As a key of the first form, it would be wrapped under "local:a 0707…".
            ("local:a ", "local:a", Some("list of destroyed keys")),
            (" 0909", " 090A09", Some("list of destroyed keys")),
            (" 0909", " 09", Some("list of destroyed keys")),
            (" 0909", " 090A", Some(form)),
            (" -\n", "\n", Some("list of destroyed keys")),
            (" -\n", " --\n", Some("list of destroyed keys")),
        ];
        refuses(&text, &lines);

        let text = entry(Event::Revocation1 { token: SUBJECT }).to_string();
        let lines = [
            ("revocation 1", "revocation 2", None),
            ("revocation 1", "erasure 2", Some("number of lines")),
            ("01890a5d-ac96", "01890a5d_ac96", Some("token id")),
            ("api\n", "api\n\n", Some("number of lines")),
        ];
        refuses(&text, &lines);
    }

    #[test]
    fn there_is_one_way_to_write_a_rotation() {
        let subjects = Some("list of subjects");
        let text = entry(rotation(Some(vec![SUBJECT, Uuid::nil()]))).to_string();
        let lines = [
            ("00Z 0189", "00+00:00 0189", Some("form, though its lines can be read")),
            ("00Z 0189", "00Z everybody 0189", subjects),
            ("00Z 0189", "00Z  0189", subjects),
            ("7 0000", "7; 0000", subjects),
            ("00Z 0189", "00Z0189", subjects),
        ];
        refuses(&text, &lines);
        let text = entry(rotation(None)).to_string();
        refuses(
            &text,
            &[
                (" everybody", "", subjects),
                ("everybody", "Everybody", subjects),
                ("everybody", "", subjects),
            ],
        );
    }

    fn refuses(text: &str, changes: &[(&str, &str, Option<&'static str>)]) {
        for (old, new, line) in changes {
            let other = text.replacen(old, new, 1);
            assert_ne!(other, text, "{old}");
            let error = line.map_or(EntryError::Format, EntryError::Line);
            assert_eq!(other.parse::<Entry>(), Err(error), "{other}");
        }
    }
}
