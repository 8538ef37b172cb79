use std::fmt::Write;

use oubliette_ledger::Proven;

/// What a good receipt proves, in plain words.
pub(crate) fn of(proven: &Proven<'_>) -> String {
    let Proven { entry, log, size } = proven;
    let mut text = String::from("This receipt is good.\n\n");
    // Writing to a string cannot fail.
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    line("erased", &entry.subject.to_string());
    line("when", &entry.erased_at.to_rfc3339());
    line("asked by", &shown(&entry.actor));
    for key in &entry.destroyed {
        line(
            "destroyed",
            &format!("data key {}, which was wrapped under {}", key.version, shown(&key.kek_id)),
        );
    }
    line("entry", &format!("number {} of {size} in the log", entry.sequence));
    line("log key", log);
    text.push_str(PROVES);
    text
}

const PROVES: &str = "
It proves: the holder of the log key has signed that this person was erased and these data keys destroyed, as this entry of the log. Keep it: should the same key ever
sign a log without this entry, the two together show it.
It does not prove: that no copy of a data key is left, as in a backup that is older than the erasure. Ask how long backups are kept.
";

/// Without what would act on a terminal.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
