use crate::envelope::{Attribute, AttributeError, PersonalText};

/// A phone number in E.164 form: `+`, a country code in use, at most 15 digits in all (ITU-T E.164).
///
/// Spaces, dashes, dots and parentheses are removed. Whether the country code exists and the length
/// can be right is checked; whether the number is in service is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone(PersonalText);

/// Longest E.164 number, without the `+`.
const MAX_DIGITS: usize = 15;
/// Shortest plausible one: a country code and a short subscriber number (Saint Helena has five digits).
const MIN_DIGITS: usize = 7;

impl Attribute for Phone {
    const NAME: &'static str = "users.phone";

    fn parse(input: &str) -> Result<Self, AttributeError> {
        if input.trim().is_empty() {
            return Err(AttributeError("is empty; leave it out, or use null to remove it"));
        }
        // `+44 (0)20 …` means two different numbers to two readers: guessing would store a wrong one.
        if input.contains("(0)") {
            return Err(AttributeError("contains (0); leave that digit out after the country code"));
        }
        let number = PersonalText::new(input.chars().filter(|c| !is_separator(*c)).collect());
        let Some(digits) = number.expose().strip_prefix('+') else {
            return Err(AttributeError("does not start with + and a country code, such as +44 20 7946 0958"));
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AttributeError(
                "has something else than digits after the +, such as +44 20 7946 0958",
            ));
        }
        if digits.len() > MAX_DIGITS {
            return Err(AttributeError("has more than 15 digits"));
        }
        // The library only judges. It also rewrites numbers, by rules that are right for dialled ones
        // and wrong for some that are already international (Belarus: +375 8…), so its text is not kept.
        if digits.len() < MIN_DIGITS || phonenumber::parse(None, number.expose()).is_err() {
            return Err(AttributeError(
                "is not a phone number: its country code is unknown or it is too short",
            ));
        }
        Ok(Self(number))
    }

    fn from_opened(text: PersonalText) -> Self {
        Self(text)
    }

    fn text(&self) -> &PersonalText {
        &self.0
    }

    fn into_text(self) -> PersonalText {
        self.0
    }
}

impl Phone {
    /// Its country code and its last two digits: `+49•••••67`.
    #[must_use]
    pub fn masked(&self) -> String {
        let digits = self.0.expose().trim_start_matches('+');
        let country =
            phonenumber::parse(None, self.0.expose()).map(|number| number.country().code().to_string());
        let country = country.ok().filter(|code| digits.starts_with(code.as_str())).unwrap_or_default();
        let end = digits.get(digits.len().saturating_sub(2)..).unwrap_or_default();
        format!("+{country}•••••{end}")
    }
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '.' | '(' | ')' | '\u{2010}'..='\u{2015}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(input: &str) -> Result<String, AttributeError> {
        Phone::parse(input).map(|phone| phone.into_text().into_exposed())
    }

    #[test]
    fn a_mask_shows_the_country_and_two_digits() {
        for (number, masked) in
            [("+4930123467", "+49•••••67"), ("+15552345678", "+1•••••78"), ("+420601234567", "+420•••••67")]
        {
            let phone = Phone::from_opened(PersonalText::new(number.to_owned()));
            assert_eq!(phone.masked(), masked);
        }
    }

    #[test]
    fn separators_are_removed() {
        for (input, expected) in [
            ("+44 20 7946 0958", "+442079460958"),
            (" +1 (415) 555-0100 ", "+14155550100"),
            ("+49.30.901820", "+4930901820"),
            ("+375 800 123-45-67", "+3758001234567"),
            ("+39 06 698 12345", "+390669812345"),
            ("+290 23456", "+29023456"),
        ] {
            assert_eq!(normal(input).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for input in [
            "",
            "  ",
            "+",
            "020 7946 0958",
            "0044 20 7946 0958",
            "+44",
            "+44 12",
            "+999 20 7946 0958",
            "+44 (0)20 7946 0958",
            "+44 20 7946 0958 x5",
            "+1 415 555 0100 0000 0",
            "+44 20 ٧٩٤٦ 0958",
            "tel:+442079460958",
        ] {
            assert!(normal(input).is_err(), "{input:?} was accepted");
        }
    }
}
