//! What an event says, and the twelve lines that its digest is taken over, each ended by a newline.
//!
//! ```text
//! oubliette audit 2
//! <digest of the previous event, 64 hexadecimal digits; zeros for the first>
//! <sequence>
//! <time, RFC 3339 in UTC with microseconds, such as 2026-11-23T21:05:00.123456Z>
//! <actor>
//! <action>
//! <subject ids, joined by ","; or nothing>
//! <count: how often it happened>
//! <names of attributes, joined by ","; or nothing>
//! <target, or nothing>
//! <request id, or nothing>
//! <outcome>
//! ```
//!
//! so that anybody can check it with a shell. No field holds a newline: `NewEvent` sees to it. Older events are of version
//! 1, which has one subject id at most, and no line for the count.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::{chain::Entry, entity::audit_event::Model};

/// The version of the text of new events.
pub(super) const VERSION: i16 = 2;

/// What an event says, wherever it is kept: all but its place in the chain. A text that is absent is empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    /// Of the text that the digest is taken over.
    pub(super) version: i16,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) actor: &'a str,
    pub(super) action: &'a str,
    /// Whom it concerns, if it is one.
    pub(super) subject_id: Option<Uuid>,
    /// If it is more: their ids, joined by commas.
    pub(super) subject_ids: &'a str,
    pub(super) count: i32,
    pub(super) attributes: &'a str,
    pub(super) target: &'a str,
    pub(super) request_id: &'a str,
    pub(super) outcome: &'a str,
}

impl<'a> Content<'a> {
    /// Which group the subjects of an event are that concerns several: the list's SHA-256, as an id of version 8 (RFC 9562, section 5.8).
    pub(super) fn group(self) -> Option<Uuid> {
        let list = (!self.subject_ids.is_empty()).then_some(self.subject_ids)?;
        let digest = Sha256::digest(list);
        Some(Builder::from_custom_bytes(*digest.first_chunk()?).into_uuid())
    }

    /// The subjects of an event that concerns several. What is no id is left out.
    pub(super) fn several(self) -> impl Iterator<Item = Uuid> + use<'a> {
        self.subject_ids.split(',').filter_map(|id| id.parse().ok())
    }
}

impl Entry for Content<'_> {
    fn write_format(&self, text: &mut String) {
        // Writing to a string cannot fail.
        let _ = write!(text, "oubliette audit {}", self.version);
    }

    fn write_lines(&self, text: &mut String) {
        let time = self.occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        for line in [&*time, self.actor, self.action] {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(self.subject_ids);
        if let Some(subject) = self.subject_id {
            let _ = write!(text, "{subject}");
        }
        if self.version > 1 {
            let _ = write!(text, "\n{}", self.count);
        }
        for line in [self.attributes, self.target, self.request_id, self.outcome] {
            text.push('\n');
            text.push_str(line);
        }
        text.push('\n');
    }

    fn is_canonical(&self) -> bool {
        let one_way =
            self.subject_ids.is_empty() || (self.subject_id.is_none() && self.subject_ids.contains(','));
        one_way && (self.version != 1 || (self.count == 1 && self.subject_ids.is_empty()))
    }
}

impl<'a> From<&'a Model> for Content<'a> {
    fn from(row: &'a Model) -> Self {
        Self {
            version: row.version,
            occurred_at: row.occurred_at,
            actor: &row.actor,
            action: &row.action,
            subject_id: row.subject_id,
            subject_ids: row.subject_ids.as_deref().unwrap_or_default(),
            count: row.count,
            attributes: &row.attributes,
            target: row.target.as_deref().unwrap_or_default(),
            request_id: row.request_id.as_deref().unwrap_or_default(),
            outcome: &row.outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{Chained, Head};

    fn event() -> Content<'static> {
        Content {
            version: VERSION,
            occurred_at: "2026-11-24T21:05:00.120Z".parse().unwrap(),
            actor: "api",
            action: "read_pii",
            subject_id: Some(uuid::uuid!("01890a5d-ac96-774b-bcce-b302099a8057")),
            subject_ids: "",
            count: 1,
            attributes: "email,phone",
            target: "",
            request_id: "r-1",
            outcome: "ok",
        }
    }

    /// As the seventh of a chain whose sixth has a digest of zeros.
    fn digest(event: Content) -> String {
        let from = Head { sequence: 6, ..Head::genesis() };
        hex::encode(Chained::after(&from, [event]).head().digest)
    }

    /// The figures come from `printf '…' | sha256sum`: the format is for others to check.
    #[test]
    fn digest_is_the_documented_one() {
        assert_eq!(digest(event()), "5d3a2f7a6d7fb563900523f66eaf8b95930babb4cc4fa170b321363fe7257616");
        let nobody = Content {
            action: "key_rewrap",
            subject_id: None,
            attributes: "",
            target: "0190",
            request_id: "",
            outcome: "failed",
            ..event()
        };
        assert_eq!(digest(nobody), "cb67759df5c74aeeb3aff9728b78f8594b41b3748dde4dd1d65e851214de0e0c");
        let several = Content {
            subject_id: None,
            subject_ids: "01890a5d-ac96-774b-bcce-b302099a8057,01890a5d-ac96-774b-bcce-b302099a8058",
            count: 78,
            outcome: "denied",
            ..event()
        };
        assert_eq!(digest(several), "2e94bcf64f94eaaca088b0fb3695851f52a5a959ef61d10ca281829f7ded741e");
    }

    #[test]
    fn what_is_of_version_1_stays_as_it_is() {
        let event = Content { version: 1, ..event() };
        assert_eq!(digest(event), "c4838ce8a4d0b38f7bd6be22253eefdf177f91505d91ae1267b674319e71a7ee");
        let nobody = Content {
            action: "key_rewrap",
            subject_id: None,
            attributes: "",
            target: "0190",
            request_id: "",
            outcome: "failed",
            ..event
        };
        assert_eq!(digest(nobody), "8bafc6f90e5756c552c812458e881d1610802ce558c9e699421b268f10cffaf9");
    }
}
