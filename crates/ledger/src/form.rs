use std::{fmt, str::FromStr};

use crate::EntryError;

/// The forms in which entries are written: what the first line of the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Somebody was forgotten; without key commitments.
    Erasure1,
    /// Somebody was forgotten.
    Erasure2,
    /// An access token was revoked.
    Revocation1,
    /// Data keys were replaced by fresh ones.
    Rotation1,
}

impl Form {
    /// The line, without its newline.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Erasure1 => "oubliette erasure 1",
            Self::Erasure2 => "oubliette erasure 2",
            Self::Revocation1 => "oubliette revocation 1",
            Self::Rotation1 => "oubliette rotation 1",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Form {
    type Err = EntryError;

    fn from_str(line: &str) -> Result<Self, EntryError> {
        let all = [Self::Erasure1, Self::Erasure2, Self::Revocation1, Self::Rotation1];
        all.into_iter().find(|form| form.as_str() == line).ok_or(EntryError::Format)
    }
}
