use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A personal value in the clear. Wiped when dropped; `Debug` shows nothing of it; no `Display`.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PersonalText(String);

impl PersonalText {
    /// Takes ownership of a plaintext.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Takes ownership of opened bytes without copying them. Bytes that are not UTF-8 are wiped.
    pub(super) fn from_utf8(mut bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Some(Self(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                None
            }
        }
    }

    /// The plaintext.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The plaintext, given away: from here on, nobody wipes it.
    #[must_use]
    pub fn into_exposed(mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

impl fmt::Debug for PersonalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let text = PersonalText::new("ada@example.com".to_owned());
        assert_eq!(format!("{text:?}"), "[personal]");
    }
}
