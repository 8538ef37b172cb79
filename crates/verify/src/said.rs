use std::fmt::Write;

use oubliette_ledger::{Erasure, Event, Proven};

/// What a good receipt proves, in plain words.
pub(crate) fn of(proven: &Proven<'_>) -> String {
    let Proven { entry, log, size } = proven;
    let mut text = String::from("This receipt is good.\n\n");
    // Writing to a string cannot fail.
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    let (what, destroyed, meaning) = match &entry.event {
        Event::Erasure1(Erasure { subject, destroyed }) | Event::Erasure2(Erasure { subject, destroyed }) => {
            (("erased", subject), &destroyed[..], ERASURE_PROVES)
        }
        Event::Revocation1 { token } => (("revoked", token), &[][..], REVOCATION_PROVES),
        Event::Rotation1 { id, .. } => (("rotation", id), &[][..], ROTATION_PROVES),
    };
    line(what.0, &what.1.to_string());
    line("when", &entry.at.to_rfc3339());
    line("asked by", &shown(&entry.actor));
    for key in destroyed {
        let commitment = key.commitment.map(|known| format!(", key commitment {}", hex::encode(known)));
        let (version, kek_id, commitment) = (key.version, shown(&key.kek_id), commitment.unwrap_or_default());
        line("destroyed", &format!("data key {version}, which was wrapped under {kek_id}{commitment}"));
    }
    line("entry", &format!("number {} of {size} in the log", entry.sequence));
    line("log key", log);
    text.push_str(meaning);
    text
}

const ERASURE_PROVES: &str = "
It proves: the holder of the log key has signed that this person was erased and these data keys destroyed, as this entry of the log. Keep it: should the same key ever
sign a log without this entry, the two together show it. A key commitment that you were shown before names the very key that was destroyed.
It does not prove: that no copy of a data key is left, as in a backup that is older than the erasure. Ask how long backups are kept.
";

const REVOCATION_PROVES: &str = "
It proves: the holder of the log key has signed that this access token was revoked, as this entry of the log. It says nothing about a person.
";

const ROTATION_PROVES: &str = "
It proves: the holder of the log key has signed that data keys were replaced by fresh ones, as this entry of the log. It says nothing about a person.
";

/// Without what would act on a terminal.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
