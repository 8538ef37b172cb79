//! What commands and people say to each other: tables, questions, progress.

mod confirm;
mod failures;
mod progress;
mod table;

use std::io::{IsTerminal, Write};

use chrono::{DateTime, SecondsFormat, Utc};

pub(super) use confirm::confirm;
pub(super) use failures::Failures;
pub(super) use progress::{Bar, Progress, Watch, rate, tenths};
pub(super) use table::{Align, bar, table};

use crate::characters::is_invisible;

/// The exit status of a run that was asked to end, as shells have it after Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// What a command prints to standard output, and its exit status.
#[derive(Debug)]
pub struct Output {
    /// May have colours: the printing function removes them where they do not belong.
    pub text: String,
    /// 0 if all is well, 1 if something is not, 130 if it was interrupted.
    pub status: u8,
}

impl Output {
    /// What is printed after something went wrong that the text tells of.
    pub(super) fn unwell(text: String) -> Self {
        Self { text, status: 1 }
    }
}

impl From<String> for Output {
    fn from(text: String) -> Self {
        Self { text, status: 0 }
    }
}

/// Prints a line to standard error: what is not the command's data.
pub(super) fn say(line: &str) {
    anstream::eprintln!("{line}");
}

/// Prints a line of data before the command's end. The reader may have seen enough.
pub(super) fn emit(line: &impl std::fmt::Display) {
    // A closed pipe does not stop a run half-way.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Pretty JSON, and a newline.
pub(super) fn json(value: &serde_json::Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// A moment, for people and programs: RFC 3339 in UTC with microseconds.
pub(super) fn time(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The same to the second, for what takes longer than that.
pub(super) fn second(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A text as it can be printed: what would break the line, or act on the terminal, is written out.
pub(super) fn one_line(text: &str) -> String {
    let printed = |c: char| {
        if c.is_control() || is_invisible(c) { c.escape_unicode().to_string() } else { c.to_string() }
    };
    text.replace('\n', "\\n").chars().map(printed).collect()
}

/// Whether people look at standard error.
fn is_interactive() -> bool {
    std::io::stderr().is_terminal()
}

/// `2000` as `2,000`.
pub(super) fn grouped(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}

/// `1 data key`, `2,000 data keys`.
pub(super) fn counted(count: u64, what: &str) -> String {
    counted_as(count, what, &format!("{what}s"))
}

/// The same with a plural of its own: `1 entry`, `2,000 entries`.
pub(super) fn counted_as(count: u64, one: &str, several: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { several })
}
