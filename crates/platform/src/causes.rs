//! Errors for people: one line with all causes, none of them said twice.

use std::error::Error;

/// The error and its causes, joined by colons. A cause that the line already contains is left out: many
/// libraries put their source into their own message, too.
#[must_use]
pub fn line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}
