//! What an entry of the ledger says, as the table has it. Its text is that of [`oubliette_ledger::Entry`], where it is described; a
//! test compares the two.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use oubliette_ledger::{Form, Rotation};
use uuid::Uuid;

use crate::{chain::Entry, entity::erasure::Model};

/// What an entry says, wherever it is kept: all but its place in the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    /// How its text begins.
    pub(super) form: &'a str,
    /// Of an erasure.
    pub(super) subject_id: Option<Uuid>,
    /// Of a revocation, the token's; of a rotation, random.
    pub(super) target_id: Option<Uuid>,
    pub(super) at: DateTime<Utc>,
    pub(super) actor: &'a str,
    /// The last line: of an erasure, the destroyed keys; of a rotation, whose. Of a revocation, nothing.
    pub(super) destroyed_keys: &'a str,
}

impl Entry for Content<'_> {
    fn write_format(&self, text: &mut String) {
        text.push_str(self.form);
    }

    fn write_lines(&self, text: &mut String) {
        let Self { form, subject_id, target_id, at, actor, destroyed_keys } = self;
        let id = subject_id.or(*target_id).unwrap_or_default();
        let time = at.to_rfc3339_opts(SecondsFormat::Micros, true);
        // Writing to a string cannot fail.
        let _ = write!(text, "{id}\n{time}\n{actor}\n");
        if *form != Form::Revocation1.as_str() {
            let _ = writeln!(text, "{destroyed_keys}");
        }
    }

    fn is_canonical(&self) -> bool {
        match (self.form.parse(), self.subject_id, self.target_id) {
            (Ok(Form::Erasure1 | Form::Erasure2), Some(_), None) => true,
            (Ok(Form::Revocation1), None, Some(_)) => self.destroyed_keys.is_empty(),
            (Ok(Form::Rotation1), None, Some(_)) => self.destroyed_keys.parse::<Rotation>().is_ok(),
            _ => false,
        }
    }
}

impl<'a> From<&'a Model> for Content<'a> {
    fn from(row: &'a Model) -> Self {
        Self {
            form: &row.form,
            subject_id: row.subject_id,
            target_id: row.target_id,
            at: row.erased_at,
            actor: &row.actor,
            destroyed_keys: &row.destroyed_keys,
        }
    }
}

#[cfg(test)]
mod tests {
    use oubliette_ledger as log;

    use super::*;
    use crate::chain::{Chained, Head, Link};

    const ID: Uuid = uuid::uuid!("01890a5d-ac96-774b-bcce-b302099a8057");

    fn erasure(form: Form, destroyed_keys: &str) -> Content<'_> {
        let at = "2026-11-23T21:05:00.120Z".parse().unwrap();
        let form = form.as_str();
        Content { form, subject_id: Some(ID), target_id: None, at, actor: "api", destroyed_keys }
    }

    fn rotation() -> Content<'static> {
        Content {
            form: Form::Rotation1.as_str(),
            destroyed_keys: "2026-11-23T21:05:00.120000Z everybody",
            ..revocation()
        }
    }

    fn revocation() -> Content<'static> {
        let content = erasure(Form::Revocation1, "");
        Content { subject_id: None, target_id: Some(ID), ..content }
    }

    /// The figure comes from `printf '…' | sha256sum`: the format is for others to check.
    #[test]
    fn digest_is_the_documented_one() {
        let content = erasure(Form::Erasure1, "1 local:a 00ff");
        assert_eq!(
            Chained::after(&Head::genesis(), [content]).head().to_string(),
            "1:a531323f46d1e7da1bfaf32bb9eb7da924cb76b311641bc7f1ee3c48c7f1948c"
        );
    }

    #[test]
    fn the_text_is_that_of_the_log() {
        let hash = "07".repeat(32);
        for content in [
            erasure(Form::Erasure1, ""),
            erasure(Form::Erasure1, &format!("1 local:a {hash}; 2 local:b {hash}")),
            erasure(Form::Erasure2, ""),
            erasure(Form::Erasure2, &format!("1 local:a {hash} -; 2 local:b {hash} {hash}")),
            revocation(),
            rotation(),
        ] {
            let from = Head { sequence: 6, digest: vec![7; 32] };
            let chained = Chained::after(&from, [content]);
            let Link { sequence, previous_digest, digest, .. } = chained.links().next().unwrap();
            let link = Link { sequence, previous_digest, digest, entry: content };
            assert_eq!(link.follow(&from).unwrap(), chained.head());
            let entry: log::Entry = link.text().parse().unwrap();
            assert_eq!(entry.digest()[..], chained.head().digest[..]);
            assert_eq!(entry.form().as_str(), content.form);
        }
    }

    #[test]
    fn what_the_text_does_not_tell_apart_is_not_canonical() {
        let odd = |content: Content<'_>| assert!(!content.is_canonical(), "{content:?}");
        odd(Content { target_id: Some(ID), subject_id: None, ..erasure(Form::Erasure2, "") });
        odd(Content { target_id: Some(ID), ..erasure(Form::Erasure2, "") });
        odd(Content { subject_id: None, ..erasure(Form::Erasure1, "") });
        odd(Content { form: "oubliette erasure 3", ..erasure(Form::Erasure1, "") });
        odd(Content { form: "oubliette erasure 2\n", ..erasure(Form::Erasure1, "") });
        odd(Content { subject_id: Some(ID), target_id: None, ..revocation() });
        odd(Content { subject_id: Some(ID), ..revocation() });
        odd(Content { destroyed_keys: "1 local:a 00ff", ..revocation() });
        odd(Content { destroyed_keys: "everybody", ..rotation() });
        odd(Content { subject_id: Some(ID), ..rotation() });
        odd(Content { subject_id: Some(ID), target_id: None, ..rotation() });
    }
}
