use std::net::{Ipv4Addr, Ipv6Addr};

use idna::{
    AsciiDenyList,
    uts46::{DnsLength, Hyphens, Uts46},
};
use unicode_normalization::UnicodeNormalization;

use crate::envelope::PersonalText;

/// `email/1`: both parts in Unicode's form NFC (RFC 6532, 3.1) and in small letters, the domain as DNS has it (UTS 46, RFC 5891). Mail servers may
/// tell `Ada` from `ada` (RFC 5321, 2.4), and none does that people know of. Dots and what stands behind a plus are kept: they are other mailboxes
/// on some servers.
pub(super) fn normal(address: &PersonalText) -> PersonalText {
    let address = address.expose().trim();
    // As nearly all are: then the rest comes to the same.
    if address.is_ascii() && !has_alabel(address) {
        return PersonalText::new(address.to_ascii_lowercase());
    }
    in_any_script(address)
}

fn in_any_script(address: &str) -> PersonalText {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return small(address);
    };
    let (local, domain) = (small(local), domain_of(domain));
    PersonalText::new(format!("{}@{}", local.expose(), domain.expose()))
}

/// Whether part of a domain may be in the form that DNS has it in (RFC 5890, 2.3.2.1).
fn has_alabel(address: &str) -> bool {
    address.as_bytes().windows(4).any(|bytes| bytes.eq_ignore_ascii_case(b"xn--")) || address.contains('[')
}

/// In small letters. The two small forms of sigma are one letter, which has one capital.
fn small(text: &str) -> PersonalText {
    let composed = PersonalText::new(text.nfc().collect());
    let small = PersonalText::new(composed.expose().to_lowercase().replace('ς', "σ"));
    // A change of case may leave another form.
    PersonalText::new(small.expose().nfc().collect())
}

fn domain_of(domain: &str) -> PersonalText {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address = match literal.strip_prefix("IPv6:") {
            Some(address) => address.parse::<Ipv6Addr>().map(|address| format!("[IPv6:{address}]")),
            None => literal.parse::<Ipv4Addr>().map(|address| format!("[{address}]")),
        };
        return address.map_or_else(|_| small(domain), PersonalText::new);
    }
    let ascii = Uts46::new().to_ascii(
        domain.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::CheckFirstLast,
        DnsLength::Verify,
    );
    // What was checked has such a form.
    ascii.map_or_else(|_| small(domain), |ascii| PersonalText::new(ascii.into_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_short_way_comes_to_the_same(address in "[ -~]{0,24}@?[a-zA-Z0-9.\\-]{0,12}(XN--|xn--)?[a-zA-Z0-9.\\-]{0,12}") {
            let short = normal(&PersonalText::new(address.clone()));
            prop_assert_eq!(short, in_any_script(address.trim()));
        }
    }
}
