use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::envelope::PersonalText;

/// What is done to a text before it is checked and sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Normalisation {
    /// White space at both ends is removed.
    Trim,
    /// Unicode's form NFC (UAX 15). Each text gets it anyway.
    Nfc,
    /// Capitals, in any script.
    Uppercase,
    /// Small letters, in any script.
    Lowercase,
    /// All white space is removed.
    NoSpaces,
}

impl Normalisation {
    fn apply(self, text: &str) -> String {
        match self {
            Self::Trim => text.trim().to_owned(),
            Self::Nfc => text.nfc().collect(),
            Self::Uppercase => text.to_uppercase(),
            Self::Lowercase => text.to_lowercase(),
            Self::NoSpaces => text.chars().filter(|c| !c.is_whitespace()).collect(),
        }
    }
}

/// A text after all these, in their order, and in form NFC: a change of case may leave another form.
pub(in crate::attributes) fn normal(text: &PersonalText, normalisations: &[Normalisation]) -> PersonalText {
    let all =
        [Normalisation::Nfc].into_iter().chain(normalisations.iter().copied()).chain([Normalisation::Nfc]);
    // As forms in a browser and files of some systems write a line break.
    let text = PersonalText::new(text.expose().replace("\r\n", "\n"));
    all.fold(text, |text, step| PersonalText::new(step.apply(text.expose())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_done_in_its_order_and_the_form_is_nfc() {
        use Normalisation::{Lowercase, NoSpaces, Trim, Uppercase};
        for (steps, text, expected) in [
            (&[][..], " jose\u{301} ", " josé "),
            (&[Trim], " a b ", "a b"),
            (&[], "a\r\nb\r", "a\nb\r"),
            (&[NoSpaces, Uppercase], " gb 29\u{a0}nwbk ", "GB29NWBK"),
            (&[Lowercase], "İSTANBUL", "i\u{307}stanbul"),
            (&[Uppercase], "straße", "STRASSE"),
            (&[Uppercase, Lowercase], "A", "a"),
        ] {
            assert_eq!(normal(&PersonalText::new(text.to_owned()), steps).expose(), expected);
        }
    }
}
