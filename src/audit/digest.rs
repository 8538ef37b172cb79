//! What an event's digest is taken over: eleven lines, each ended by a newline.
//!
//! ```text
//! oubliette audit 1
//! <digest of the previous event, 64 hexadecimal digits; zeros for the first>
//! <sequence>
//! <time, RFC 3339 in UTC with microseconds, such as 2026-11-23T21:05:00.123456Z>
//! <actor>
//! <action>
//! <subject id, or nothing>
//! <names of attributes, joined by ","; or nothing>
//! <target, or nothing>
//! <request id, or nothing>
//! <outcome>
//! ```
//!
//! so that anybody can check it with a shell. No field holds a newline: `NewEvent` sees to it.

use std::fmt::Write;

use chrono::SecondsFormat;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::entity::audit_event::Model;

/// The digest that the first event follows.
pub const GENESIS_DIGEST: [u8; 32] = [0; 32];

/// SHA-256 over an event and the digest before it.
pub(super) fn digest(event: &Model) -> [u8; 32] {
    // Room for the usual length: thousands of these are made in a second. Writing to a string cannot fail.
    let mut text = String::with_capacity(384);
    let _ = write!(
        text,
        "oubliette audit 1\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n",
        hex::encode(&event.previous_digest),
        event.sequence,
        event.occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        event.actor,
        event.action,
        event.subject_id.as_ref().map(Uuid::to_string).unwrap_or_default(),
        event.attributes,
        event.target.as_deref().unwrap_or_default(),
        event.request_id.as_deref().unwrap_or_default(),
        event.outcome,
    );
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Model {
        Model {
            sequence: 7,
            occurred_at: "2026-11-24T21:05:00.120Z".parse().unwrap(),
            actor: "api".to_owned(),
            action: "read_pii".to_owned(),
            subject_id: Some(uuid::uuid!("01890a5d-ac96-774b-bcce-b302099a8057")),
            attributes: "email,phone".to_owned(),
            target: None,
            request_id: Some("r-1".to_owned()),
            outcome: "ok".to_owned(),
            previous_digest: GENESIS_DIGEST.to_vec(),
            digest: Vec::new(),
        }
    }

    /// The figures come from `printf '…' | sha256sum`: the format is for others to check.
    #[test]
    fn digest_is_the_documented_one() {
        assert_eq!(
            hex::encode(digest(&event())),
            "c4838ce8a4d0b38f7bd6be22253eefdf177f91505d91ae1267b674319e71a7ee"
        );
        let nobody = Model {
            action: "key_rewrap".to_owned(),
            subject_id: None,
            attributes: String::new(),
            target: Some("0190".to_owned()),
            request_id: None,
            outcome: "failed".to_owned(),
            ..event()
        };
        assert_eq!(
            hex::encode(digest(&nobody)),
            "8bafc6f90e5756c552c812458e881d1610802ce558c9e699421b268f10cffaf9"
        );
    }
}
