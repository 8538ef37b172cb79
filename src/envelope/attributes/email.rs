use std::str::FromStr;

use email_address::EmailAddress;

use crate::envelope::{Attribute, AttributeError, PersonalText};

/// An e-mail address: trimmed, at most 254 characters (RFC 5321, 4.5.3.1.3), `local@domain`.
///
/// Upper and lower case are kept: a mail server may tell them apart (RFC 5321, 2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(PersonalText);

const MAX_LENGTH: usize = 254;

impl Attribute for Email {
    const NAME: &'static str = "users.email";

    fn parse(input: &str) -> Result<Self, AttributeError> {
        let address = input.trim();
        if address.is_empty() {
            return Err(AttributeError("is empty; leave it out, or use null to remove it"));
        }
        if address.chars().count() > MAX_LENGTH {
            return Err(AttributeError("is longer than 254 characters"));
        }
        match EmailAddress::from_str(address) {
            // A display name (`Ada <ada@example.com>`) parses too, and is not an address.
            Ok(parsed) if parsed.as_str() == address && !address.contains('<') => {
                Ok(Self(PersonalText::new(address.to_owned())))
            }
            _ => Err(AttributeError("is not an e-mail address such as ada@example.com")),
        }
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

impl Email {
    /// So much of it that somebody who knows it recognises it: `j•••@e•••.com`.
    #[must_use]
    pub fn masked(&self) -> String {
        let (local, domain) = self.0.expose().rsplit_once('@').unwrap_or_default();
        let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
        let top = domain.rsplit_once('.').map(|(_, top)| format!(".{top}")).unwrap_or_default();
        format!("{}•••@{}•••{top}", first(local), first(domain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(input: &str) -> Result<String, AttributeError> {
        Email::parse(input).map(|email| email.into_text().into_exposed())
    }

    #[test]
    fn is_trimmed_and_keeps_its_case() {
        assert_eq!(normal("  Ada.Lovelace+x@Example.com\n").unwrap(), "Ada.Lovelace+x@Example.com");
        assert_eq!(normal("ada@bücher.example").unwrap(), "ada@bücher.example");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let too_long = format!("{}@example.com", "a".repeat(250));
        for input in [
            "",
            "   ",
            "ada",
            "ada@",
            "@example.com",
            "a b@example.com",
            "Ada <ada@example.com>",
            "a@b@c",
            &too_long,
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
            let email = Email::from_opened(PersonalText::new(address.to_owned()));
            assert_eq!(email.masked(), masked);
        }
    }

    #[test]
    fn an_error_does_not_repeat_the_value() {
        let error = normal("secret.person").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
