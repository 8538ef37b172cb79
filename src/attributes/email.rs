use std::net::{Ipv4Addr, Ipv6Addr};

use idna::{
    AsciiDenyList,
    uts46::{DnsLength, Hyphens, Uts46},
};

use super::text::trimmed;
use crate::characters::{is_joined, is_printed};
use crate::envelope::{Attribute, AttributeError, PersonalText};

/// An e-mail address: trimmed, at most 254 characters (RFC 5321, 4.5.3.1.3), `local@domain`, in any script (RFC 6531, 3.3).
///
/// Stored as it was typed. Upper and lower case are kept: a mail server may tell them apart (RFC 5321, 2.4).
#[derive(Clone, Copy, Debug)]
pub enum Email {}

const MAX_LENGTH: usize = 254;
/// Longest part before the `@`, in bytes: RFC 5321, 4.5.3.1.1.
const MAX_LOCAL: usize = 64;

impl Attribute for Email {
    const NAME: &'static str = "users.email";
    const FIELD: &'static str = "email";

    fn parse(input: &str) -> Result<PersonalText, AttributeError> {
        let address = trimmed(input, MAX_LENGTH)?;
        // A quoted local part may have an `@` in it, a domain may not.
        match address.rsplit_once('@') {
            Some((local, domain)) if is_local(local) && is_domain(domain) => {
                Ok(PersonalText::new(address.to_owned()))
            }
            _ => Err(AttributeError::new("is not an e-mail address such as ada@example.com")),
        }
    }

    /// `j•••@e•••.com`
    fn mask(address: &str) -> String {
        let (local, domain) = address.rsplit_once('@').unwrap_or_default();
        let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
        let top = domain.rsplit_once('.').map(|(_, top)| format!(".{top}")).unwrap_or_default();
        format!("{}•••@{}•••{top}", first(local), first(domain))
    }
}

/// `Local-part` of RFC 5321, 4.1.2, with the characters that RFC 6531, 3.3 adds.
fn is_local(text: &str) -> bool {
    if text.len() > MAX_LOCAL {
        return false;
    }
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => is_quoted(quoted) && is_safe(quoted),
        None => text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom)) && is_safe(text),
    }
}

/// `atext` of RFC 5322, 3.2.3.
fn is_atom(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
}

/// `QcontentSMTP` of RFC 5321, 4.1.2, any number of them.
fn is_quoted(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let fits = match c {
            '"' => false,
            '\\' => characters.next().is_some_and(|escaped| matches!(escaped, ' '..='~')),
            _ => !c.is_ascii_control(),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// Whether a person sees what is there. Beyond ASCII: what is printed, and joiners between what is.
fn is_safe(text: &str) -> bool {
    let characters: Vec<_> = text.chars().collect();
    characters.iter().enumerate().all(|(place, &c)| match c {
        _ if c.is_ascii() => true,
        '\u{200c}' | '\u{200d}' => {
            let before = place.checked_sub(1).and_then(|before| characters.get(before));
            [before, characters.get(place + 1)].iter().all(|beside| beside.is_some_and(|c| is_joined(*c)))
        }
        _ => is_printed(c),
    })
}

/// A name that DNS can have, in any script (UTS 46, RFC 5891), or an address in brackets (RFC 5321, 4.1.3).
fn is_domain(text: &str) -> bool {
    if let Some(literal) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match literal.strip_prefix("IPv6:") {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => literal.parse::<Ipv4Addr>().is_ok(),
        };
    }
    // UTS 46 drops what nobody sees before it looks.
    is_safe(text)
        && Uts46::new()
            .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
            .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(input: &str) -> Result<String, AttributeError> {
        Email::parse(input).map(PersonalText::into_exposed)
    }

    #[test]
    fn is_trimmed_and_keeps_its_case() {
        assert_eq!(normal("  Ada.Lovelace+x@Example.com\n").unwrap(), "Ada.Lovelace+x@Example.com");
        assert_eq!(normal("ada@bücher.example").unwrap(), "ada@bücher.example");
    }

    #[test]
    fn every_script_has_addresses() {
        for address in [
            "संपर्क@डाटामेल.भारत",
            "jose\u{301}@example.com",
            "josé@example.com",
            "தொடர்பு@எடுத்துக்காட்டு.இந்தியா",
            "ติดต่อ@ตัวอย่าง.ไทย",
            "ಸಂಪರ್ಕ@ಉದಾಹರಣೆ.ಭಾರತ",
            "क्\u{200d}ष@example.com",
            "می\u{200c}خواهم@example.com",
            "用户@例子.广告",
            "οικονόμου@παράδειγμα.ελ",
            "Иван.Сергеев@пример.рф",
            "שלום@דוגמה.ישראל",
            "ada@example.com",
            "a.b+c_d-e!#$%&'*/=?^`{|}~f@ex-ample.co.uk",
            "\"Ada Lovelace\"@example.com",
            "\"a@b\\\"c\"@example.com",
            "ada@xn--bcher-kva.example",
            "ada@localhost",
            "ada@[192.0.2.1]",
            "ada@[IPv6:2001:db8::1]",
        ] {
            assert_eq!(normal(address).as_deref(), Ok(address));
        }
    }

    #[test]
    fn what_nobody_sees_is_refused() {
        for hidden in [
            '\u{202e}',
            '\u{2066}',
            '\u{200e}',
            '\u{61c}',
            '\u{200b}',
            '\u{feff}',
            '\u{2060}',
            '\u{ad}',
            '\u{85}',
            '\u{9f}',
            '\u{2028}',
            '\u{a0}',
            '\u{3000}',
            '\u{fe0f}',
            '\u{3164}',
            '\u{e000}',
            '\u{e0041}',
            '\u{378}',
            '\0',
            '\u{7f}',
            '\n',
        ] {
            for address in [
                format!("a{hidden}b@example.com"),
                format!("\"a{hidden}b\"@example.com"),
                format!("ab@exam{hidden}ple.com"),
            ] {
                assert!(normal(&address).is_err(), "{address:?} was accepted");
            }
        }
        for joiner in ['\u{200c}', '\u{200d}'] {
            for address in [
                format!("a{joiner}b@example.com"),
                format!("{joiner}क@example.com"),
                format!("क{joiner}@example.com"),
                format!("क{joiner}{joiner}ष@example.com"),
                format!("ab@exam{joiner}ple.com"),
            ] {
                assert!(normal(&address).is_err(), "{address:?} was accepted");
            }
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let too_long = format!("{}@example.com", "a".repeat(250));
        let long_local = format!("{}@example.com", "a".repeat(65));
        for input in [
            "",
            "   ",
            "ada",
            "ada@",
            "@example.com",
            "a b@example.com",
            "Ada <ada@example.com>",
            "a@b@c",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "a,b@example.com",
            "\"a\"b\"@example.com",
            "\"a\\\"@example.com",
            "ada@example..com",
            "ada@-example.com",
            "ada@exa_mple.com",
            "ada@[192.0.2.256]",
            "ada@[example.com]",
            "ada@xn--a.example",
            &too_long,
            &long_local,
        ] {
            assert!(normal(input).is_err(), "{input:?} was accepted");
        }
    }

    #[test]
    fn a_mask_shows_two_letters_and_the_top_level_domain() {
        for (address, masked) in [
            ("jane.doe@example.com", "j•••@e•••.com"),
            ("ä@bücher.example", "ä•••@b•••.example"),
            ("root@localhost", "r•••@l•••"),
        ] {
            assert_eq!(Email::mask(address), masked);
        }
    }

    #[test]
    fn an_error_does_not_repeat_the_value() {
        let error = normal("secret.person").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
