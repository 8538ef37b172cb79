use serde::{Deserialize, Serialize};

use super::{AttributeKind, kind::date};
use crate::{
    attributes::{Email, Phone},
    envelope::Attribute,
};

/// How a value is shown to whoever may not see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mask {
    /// Nothing of it: `•••••`.
    #[default]
    Hidden,
    /// The first letter of each word: `A••• L•••`.
    Initials,
    /// The last four characters, of eight at least: `•••••6789`.
    #[serde(rename = "last-4")]
    Last4,
    /// `a•••@e•••.com`
    Email,
    /// The country code and the last two digits: `+44•••••58`.
    Phone,
    /// The year of a date: `1815-••-••`.
    Year,
}

/// What stands for a value, or for most of it.
const DOTS: &str = "•••••";
/// Of how many characters four may be shown.
const LONG_ENOUGH: usize = 8;
/// Most words whose first letters are shown: more are no name.
const MAX_WORDS: usize = 8;

impl Mask {
    /// What a value is shown as. A value that does not have the form that the mask is for, since it was declared otherwise, is hidden.
    #[must_use]
    pub fn apply(self, text: &str) -> String {
        let shown = match self {
            Self::Hidden => None,
            Self::Initials => initials(text),
            Self::Last4 => last_four(text),
            Self::Email => Email::parse(text).is_ok().then(|| Email::mask(text)),
            Self::Phone => Phone::parse(text).is_ok().then(|| Phone::mask(text)),
            Self::Year => date(text).map(|_| format!("{}-••-••", &text[..4])),
        };
        shown.unwrap_or_else(|| DOTS.to_owned())
    }

    /// Why the mask does not go with a kind, as the end of a sentence; `None` if it does.
    pub(super) fn problem_with(self, kind: AttributeKind) -> Option<&'static str> {
        let (fits, problem) = match self {
            Self::Hidden => (true, ""),
            Self::Initials => (kind == AttributeKind::Text, "\"initials\" is for kind = \"text\""),
            Self::Last4 => (
                matches!(kind, AttributeKind::Text | AttributeKind::Phone),
                "\"last-4\" is for kind = \"text\" or \"phone\"",
            ),
            Self::Email => (kind == AttributeKind::Email, "\"email\" is for kind = \"email\""),
            Self::Phone => (kind == AttributeKind::Phone, "\"phone\" is for kind = \"phone\""),
            Self::Year => (kind == AttributeKind::Date, "\"year\" is for kind = \"date\""),
        };
        (!fits).then_some(problem)
    }
}

fn initials(text: &str) -> Option<String> {
    let words: Vec<_> =
        text.split_whitespace().map(|word| word.chars().next().map(|first| format!("{first}•••"))).collect();
    if words.is_empty() || words.len() > MAX_WORDS {
        return None;
    }
    words.into_iter().collect::<Option<Vec<_>>>().map(|words| words.join(" "))
}

fn last_four(text: &str) -> Option<String> {
    let characters = text.chars().count();
    let end = text.char_indices().nth(characters.checked_sub(4)?)?.0;
    (characters >= LONG_ENOUGH).then(|| format!("{DOTS}{}", &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mask_shows_what_it_says() {
        for (mask, text, shown) in [
            (Mask::Hidden, "Ada Lovelace", "•••••"),
            (Mask::Initials, "Ada  King Lovelace", "A••• K••• L•••"),
            (Mask::Initials, "李 雷", "李••• 雷•••"),
            (Mask::Initials, "a b c d e f g h i", "•••••"),
            (Mask::Initials, " ", "•••••"),
            (Mask::Last4, "123456789", "•••••6789"),
            (Mask::Last4, "1234567", "•••••"),
            (Mask::Last4, "ÄÖÜäöüßé", "•••••öüßé"),
            (Mask::Last4, "", "•••••"),
            (Mask::Email, "ada@example.com", "a•••@e•••.com"),
            (Mask::Phone, "+442079460958", "+44•••••58"),
            (Mask::Year, "1815-12-10", "1815-••-••"),
        ] {
            assert_eq!(mask.apply(text), shown, "{mask:?} of {text}");
        }
    }

    #[test]
    fn what_has_another_form_than_the_mask_is_for_is_hidden() {
        for mask in [Mask::Email, Mask::Phone, Mask::Year] {
            for text in ["Ada", "", "1815", "x@", "+1", "ÄÖÜ-12-10"] {
                assert_eq!(mask.apply(text), "•••••", "{mask:?} of {text}");
            }
        }
    }
}
