//! What an event's digest is taken over: twelve lines, each ended by a newline.
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

use chrono::SecondsFormat;
use sha2::{Digest, Sha256};

use super::content::Content;

/// The digest that the first event follows.
pub const GENESIS_DIGEST: [u8; 32] = [0; 32];

/// The version of the text of new events.
pub(super) const VERSION: i16 = 2;

/// SHA-256 over an event at its place in the chain: its sequence, and the digest of the one before.
pub(super) fn digest(sequence: i64, previous: &[u8], event: &Content) -> [u8; 32] {
    // Room for the usual length: thousands of these are made in a second. Writing to a string cannot fail.
    let mut text = String::with_capacity(384);
    let _ = write!(
        text,
        "oubliette audit {}\n{}\n{sequence}\n{}\n{}\n{}\n{}",
        event.version,
        hex::encode(previous),
        event.occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        event.actor,
        event.action,
        event.subject_ids,
    );
    if let Some(subject) = event.subject_id {
        let _ = write!(text, "{subject}");
    }
    if event.version > 1 {
        let _ = write!(text, "\n{}", event.count);
    }
    for line in [event.attributes, event.target, event.request_id, event.outcome] {
        text.push('\n');
        text.push_str(line);
    }
    text.push('\n');
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// The figures come from `printf '…' | sha256sum`: the format is for others to check.
    #[test]
    fn digest_is_the_documented_one() {
        assert_eq!(
            hex::encode(digest(7, &GENESIS_DIGEST, &event())),
            "5d3a2f7a6d7fb563900523f66eaf8b95930babb4cc4fa170b321363fe7257616"
        );
        let nobody = Content {
            action: "key_rewrap",
            subject_id: None,
            attributes: "",
            target: "0190",
            request_id: "",
            outcome: "failed",
            ..event()
        };
        assert_eq!(
            hex::encode(digest(7, &GENESIS_DIGEST, &nobody)),
            "cb67759df5c74aeeb3aff9728b78f8594b41b3748dde4dd1d65e851214de0e0c"
        );
        let several = Content {
            subject_id: None,
            subject_ids: "01890a5d-ac96-774b-bcce-b302099a8057,01890a5d-ac96-774b-bcce-b302099a8058",
            count: 78,
            outcome: "denied",
            ..event()
        };
        assert_eq!(
            hex::encode(digest(7, &GENESIS_DIGEST, &several)),
            "2e94bcf64f94eaaca088b0fb3695851f52a5a959ef61d10ca281829f7ded741e"
        );
    }

    #[test]
    fn what_is_of_version_1_stays_as_it_is() {
        let event = Content { version: 1, ..event() };
        assert_eq!(
            hex::encode(digest(7, &GENESIS_DIGEST, &event)),
            "c4838ce8a4d0b38f7bd6be22253eefdf177f91505d91ae1267b674319e71a7ee"
        );
        let nobody = Content {
            action: "key_rewrap",
            subject_id: None,
            attributes: "",
            target: "0190",
            request_id: "",
            outcome: "failed",
            ..event
        };
        assert_eq!(
            hex::encode(digest(7, &GENESIS_DIGEST, &nobody)),
            "8bafc6f90e5756c552c812458e881d1610802ce558c9e699421b268f10cffaf9"
        );
    }
}
