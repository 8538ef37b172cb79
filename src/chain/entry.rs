//! What a digest is taken over: lines of text, each ended by a newline.
//!
//! ```text
//! <the format and its version, such as: oubliette audit 2>
//! <digest of the previous entry, 64 hexadecimal digits; zeros for the first>
//! <sequence>
//! <what the entry says: as many lines as its format has>
//! ```

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// Of a text, in bytes: thousands of these are made in a second.
pub(super) const USUAL_LENGTH: usize = 384;

/// What an entry of a chain says: all but its place.
pub(crate) trait Entry {
    /// Appends the first line, without its newline: the format and its version. No two formats have the same.
    fn write_format(&self, text: &mut String);

    /// Appends what it says: lines, each ended by a newline. As many for each entry of its format, and no newline within one:
    /// otherwise two entries could have one text.
    fn write_lines(&self, text: &mut String);

    /// Whether it is stored in the one way in which its format is. What its text does not tell apart, nobody may exchange.
    fn is_canonical(&self) -> bool {
        true
    }
}

/// SHA-256 over an entry at its place: its sequence, and the digest of the one before. `text` is room that is used again.
pub(super) fn digest(sequence: i64, previous: &[u8], entry: &impl Entry, text: &mut String) -> [u8; 32] {
    write(sequence, previous, entry, text);
    Sha256::digest(text.as_bytes()).into()
}

/// The text of an entry at its place.
pub(super) fn write(sequence: i64, previous: &[u8], entry: &impl Entry, text: &mut String) {
    text.clear();
    entry.write_format(text);
    text.push('\n');
    text.push_str(&hex::encode(previous));
    // Writing to a string cannot fail.
    let _ = write!(text, "\n{sequence}\n");
    entry.write_lines(text);
}
