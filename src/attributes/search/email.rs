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
    let Some((local, domain)) = address.rsplit_once('@') else {
        return small(address);
    };
    let (local, domain) = (small(local), domain_of(domain));
    PersonalText::new(format!("{}@{}", local.expose(), domain.expose()))
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
