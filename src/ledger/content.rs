//! What an entry of the ledger says, and the seven lines that its digest is taken over, each ended by a newline.
//!
//! ```text
//! oubliette erasure 1
//! <digest of the previous entry, 64 hexadecimal digits; zeros for the first>
//! <sequence>
//! <subject id>
//! <time, RFC 3339 in UTC with microseconds, such as 2026-11-23T21:05:00.123456Z>
//! <actor>
//! <destroyed keys: version, wrapping key, SHA-256 of the wrapped key; joined by "; ">
//! ```
//!
//! so that anybody can check it with a shell.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use crate::{chain::Entry, entity::erasure::Model};

/// What an entry says, wherever it is kept: all but its place in the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    pub(super) subject_id: Uuid,
    pub(super) erased_at: DateTime<Utc>,
    pub(super) actor: &'a str,
    /// Joined.
    pub(super) destroyed_keys: &'a str,
}

impl Entry for Content<'_> {
    fn write_format(&self, text: &mut String) {
        text.push_str("oubliette erasure 1");
    }

    fn write_lines(&self, text: &mut String) {
        let Self { subject_id, erased_at, actor, destroyed_keys } = self;
        let time = erased_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        // Writing to a string cannot fail.
        let _ = write!(text, "{subject_id}\n{time}\n{actor}\n{destroyed_keys}\n");
    }
}

impl<'a> From<&'a Model> for Content<'a> {
    fn from(row: &'a Model) -> Self {
        Self {
            subject_id: row.subject_id,
            erased_at: row.erased_at,
            actor: &row.actor,
            destroyed_keys: &row.destroyed_keys,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{Chained, Head};

    /// The figure comes from `printf '…' | sha256sum`: the format is for others to check.
    #[test]
    fn digest_is_the_documented_one() {
        let content = Content {
            subject_id: uuid::uuid!("01890a5d-ac96-774b-bcce-b302099a8057"),
            erased_at: "2026-11-23T21:05:00.120Z".parse().unwrap(),
            actor: "api",
            destroyed_keys: "1 local:a 00ff",
        };
        assert_eq!(
            Chained::after(&Head::genesis(), [content]).head().to_string(),
            "1:a531323f46d1e7da1bfaf32bb9eb7da924cb76b311641bc7f1ee3c48c7f1948c"
        );
    }
}
