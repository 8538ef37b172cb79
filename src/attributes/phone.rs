use crate::characters::{is_dash, is_invisible};
use crate::envelope::{Attribute, AttributeError, PersonalText};

/// A phone number in E.164 form: `+`, a country code in use, at most 15 digits in all (ITU-T E.164).
///
/// Spaces, dashes, dots, slashes, parentheses and what nobody sees are removed, full-width digits read as digits. Whether the country code exists and the length
/// can be right is checked; whether the number is in service is not.
#[derive(Clone, Copy, Debug)]
pub enum Phone {}

/// Longest E.164 number, without the `+`.
const MAX_DIGITS: usize = 15;
/// Shortest plausible one: a country code and a short subscriber number (Saint Helena has five digits).
const MIN_DIGITS: usize = 7;

impl Attribute for Phone {
    const NAME: &'static str = "users.phone";
    const FIELD: &'static str = "phone";

    fn parse(input: &str) -> Result<PersonalText, AttributeError> {
        if input.trim().is_empty() {
            return Err(AttributeError::new("is empty; leave it out, or use null to remove it"));
        }
        // As a person sees it.
        let seen = PersonalText::new(input.chars().filter(|c| !is_invisible(*c)).map(half_width).collect());
        let number = PersonalText::new(seen.expose().chars().filter(|c| !is_separator(*c)).collect());
        let Some(digits) = number.expose().strip_prefix('+') else {
            return Err(AttributeError::new(
                "does not start with + and a country code, such as +44 20 7946 0958",
            ));
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AttributeError::new(
                "has something else than digits after the +, such as +44 20 7946 0958",
            ));
        }
        if digits.len() > MAX_DIGITS {
            return Err(AttributeError::new("has more than 15 digits"));
        }
        // The library only judges. It also rewrites numbers, by rules that are right for dialled ones
        // and wrong for some that are already international (Belarus: +375 8…), so its text is not kept.
        let judged = phonenumber::parse(None, number.expose()).ok().filter(|_| digits.len() >= MIN_DIGITS);
        let Some(judged) = judged else {
            return Err(AttributeError::new(
                "is not a phone number: its country code is unknown or it is too short",
            ));
        };
        if has_national_prefix(seen.expose(), judged.country().code()) {
            return Err(AttributeError::new(
                "has a 0 in parentheses, which is dialled inside the country only: write it as it is dialled from abroad",
            ));
        }
        Ok(number)
    }

    /// The country code and the last two digits: `+49•••••67`.
    fn mask(number: &str) -> String {
        let digits = number.trim_start_matches('+');
        let country = phonenumber::parse(None, number).map(|number| number.country().code().to_string());
        let country = country.ok().filter(|code| digits.starts_with(code.as_str())).unwrap_or_default();
        let end = digits.get(digits.len().saturating_sub(2)..).unwrap_or_default();
        format!("+{country}•••••{end}")
    }
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || is_dash(c) || matches!(c, '.' | '/' | '(' | ')')
}

/// Full-width forms, as East Asian keyboards have them, as the others.
fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// Whether a group in parentheses has the 0 that is dialled inside the country only: `+44 (0)20 …`, `+49 (030) …`. It means two different
/// numbers to two readers, and guessing would store a wrong one. Where numbers have no such prefix, as in Italy, a zero belongs to the
/// number: `+39 (06) …`.
fn has_national_prefix(seen: &str, country_code: u16) -> bool {
    let Some((before, rest)) = seen.split_once('(') else { return false };
    let group = rest.split(')').next().unwrap_or_default().trim();
    let is_first = before.chars().filter(char::is_ascii_digit).eq(country_code.to_string().chars());
    let regions = phonenumber::metadata::DATABASE.by_code(&country_code).unwrap_or_default();
    let has_prefix =
        regions.iter().any(|region| region.national_prefix().is_some_and(|prefix| prefix.starts_with('0')));
    group == "0" || (is_first && has_prefix && group.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(input: &str) -> Result<String, AttributeError> {
        Phone::parse(input).map(PersonalText::into_exposed)
    }

    #[test]
    fn a_mask_shows_the_country_and_two_digits() {
        for (number, masked) in
            [("+4930123467", "+49•••••67"), ("+15552345678", "+1•••••78"), ("+420601234567", "+420•••••67")]
        {
            assert_eq!(Phone::mask(number), masked);
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
            ("\u{202a}+44 20 7946 0958\u{202c}", "+442079460958"),
            ("\u{2066}+44\u{a0}20\u{2009}7946\u{202f}0958\u{2069}", "+442079460958"),
            ("\u{feff}+44 20\u{ad}7946\u{fe0f}0958\u{200b}", "+442079460958"),
            ("＋４４ ２０ ７９４６ ０９５８", "+442079460958"),
            ("＋８１（３）１２３４－５６７８", "+81312345678"),
            ("+44 20\u{2212}7946\u{2011}0958", "+442079460958"),
            ("+49 30/901820", "+4930901820"),
            ("+49 (30) 901820", "+4930901820"),
            ("+39 (06) 698 12345", "+390669812345"),
            ("+7 (800) 555-35-35", "+78005553535"),
            ("+1 (415) 555 (0100)", "+14155550100"),
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
            "+44 ( 0 ) 20 7946 0958",
            "+44 (020) 7946 0958",
            "+49 (030) 901820",
            "＋４９（０３０）９０１８２０",
            "+81 (03) 1234 5678",
            "+36 (06 1) 234 5678",
            "+44 20 7946 0958 x5",
            "+1 415 555 0100 0000 0",
            "+44 20 ٧٩٤٦ 0958",
            "tel:+442079460958",
        ] {
            assert!(normal(input).is_err(), "{input:?} was accepted");
        }
    }
}
