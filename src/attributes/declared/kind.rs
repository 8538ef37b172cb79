use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::Mask;
use crate::{
    attributes::{Email, Phone},
    envelope::{Attribute, AttributeError, PersonalText},
};

/// What the values of an attribute are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum AttributeKind {
    /// Any text, in Unicode's form NFC.
    Text,
    /// An e-mail address: see [`Email`].
    Email,
    /// A phone number: see [`Phone`].
    Phone,
    /// A day of the calendar, `1815-12-10` (ISO 8601), of the years 0001 to 9999.
    Date,
}

impl AttributeKind {
    /// The mask that is made for the kind.
    #[must_use]
    pub const fn own_mask(self) -> Mask {
        match self {
            Self::Text => Mask::Hidden,
            Self::Email => Mask::Email,
            Self::Phone => Mask::Phone,
            Self::Date => Mask::Year,
        }
    }

    /// Checks a value and brings it into its normal form. Of a text, there is no more to check.
    pub(super) fn parse(self, input: &str) -> Result<PersonalText, AttributeError> {
        match self {
            Self::Text => Ok(PersonalText::new(input.to_owned())),
            Self::Email => Email::parse(input),
            Self::Phone => Phone::parse(input),
            Self::Date => {
                let text = input.trim();
                date(text).ok_or_else(|| AttributeError::new("is not a day such as 1815-12-10"))?;
                Ok(PersonalText::new(text.to_owned()))
            }
        }
    }
}

/// What an attribute's values are, of one whose type says it.
pub trait HasKind: Attribute {
    /// The kind.
    const KIND: AttributeKind;
}

impl HasKind for Email {
    const KIND: AttributeKind = AttributeKind::Email;
}

impl HasKind for Phone {
    const KIND: AttributeKind = AttributeKind::Phone;
}

/// A day as it is written, `YYYY-MM-DD` and nothing else.
pub(super) fn date(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    let is_written = bytes.len() == 10
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    date.filter(|_| is_written && !text.starts_with("0000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_real_day_written_in_one_way() {
        for day in ["1815-12-10", "2024-02-29", "0001-01-01", "9999-12-31", " 1815-12-10\n"] {
            assert_eq!(AttributeKind::Date.parse(day).unwrap().expose(), day.trim());
        }
        for day in [
            "",
            "1815",
            "10.12.1815",
            "1815-13-01",
            "2023-02-29",
            "1815-1-1",
            "1815-12-32",
            "0000-01-01",
            "+1815-12-10",
            "1815-12-10T00:00:00Z",
            "18151210",
            "１８１５-12-10",
        ] {
            let error = AttributeKind::Date.parse(day).unwrap_err();
            assert_eq!(error.to_string(), "is not a day such as 1815-12-10");
        }
    }
}
