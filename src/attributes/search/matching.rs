use super::email;
use crate::{
    attributes::{AttributeKind, Normalisation, Phone, declared::normal},
    envelope::{Attribute, BlindedValue, IndexKey, IndexTag, MAC_LENGTH, PersonalText},
};

/// Which spellings of a value are the same to who looks for it. The one way from a value to its tag: of who writes it and of who looks for it.
///
/// What is sealed keeps the spelling of whoever gave it.
#[derive(Clone, Debug)]
pub struct Matching {
    kind: AttributeKind,
    steps: Vec<Normalisation>,
    rules: String,
    has_second: bool,
}

/// What a tag is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagInput {
    /// The tag is made already.
    Tag(IndexTag),
    /// The key backend's MAC of this is wanted: see [`Matching::tag_by_mac`].
    Blinded(BlindedValue),
}

impl Matching {
    /// Of values of a kind; of a text, what else is done to each before it is sealed.
    #[must_use]
    pub fn new(kind: AttributeKind, steps: &[Normalisation]) -> Self {
        let steps = if kind == AttributeKind::Text { steps } else { &[] };
        let mut rules = format!("{kind}/1");
        for step in steps {
            rules.push_str(&format!(" {step}"));
        }
        Self { kind, steps: steps.to_vec(), rules, has_second: false }
    }

    /// The same, whose tags need a MAC by a key of the key backend besides. Its id is part of the rules.
    #[must_use]
    pub fn with_second(mut self, mac_key: &str) -> Self {
        self.rules.push_str(&format!(" second:{mac_key}"));
        self.has_second = true;
        self
    }

    /// Whether tags need a MAC by the key backend.
    #[must_use]
    pub fn has_second(&self) -> bool {
        self.has_second
    }

    /// The rules' name and version, which are part of each tag. What is found by other rules is another value.
    #[must_use]
    pub fn rules(&self) -> &str {
        &self.rules
    }

    /// The tag of a value, or what it is to be made of. The value [was checked](crate::attributes::Declaration::parse), be it to be stored, to be looked for, or stored long ago.
    #[must_use]
    pub fn input(&self, key: &IndexKey, attribute: &str, value: &PersonalText) -> TagInput {
        let normal = self.normal(value);
        if self.has_second {
            TagInput::Blinded(key.blinded(attribute, &self.rules, &normal))
        } else {
            TagInput::Tag(key.tag(attribute, &self.rules, &normal))
        }
    }

    /// The tag of a value by the key backend's MAC of what it was blinded to.
    #[must_use]
    pub fn tag_by_mac(&self, key: &IndexKey, attribute: &str, mac: &[u8; MAC_LENGTH]) -> IndexTag {
        key.tag_by_mac(attribute, &self.rules, mac)
    }

    /// Whether two values are the same to who looks for one of them.
    #[must_use]
    pub fn is_same(&self, one: &PersonalText, other: &PersonalText) -> bool {
        one == other || self.normal(one) == self.normal(other)
    }

    /// Of whatever is stored, also if a declaration would not permit it any more.
    fn normal(&self, value: &PersonalText) -> PersonalText {
        match self.kind {
            AttributeKind::Email => email::normal(value),
            AttributeKind::Text => normal(value, &self.steps),
            // Checked values are written in one way: E.164, ISO 8601. One that was stored under another declaration may not be.
            AttributeKind::Phone => Phone::parse(value.expose()).unwrap_or_else(|_| value.clone()),
            AttributeKind::Date => PersonalText::new(value.expose().trim().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{attributes::Email, envelope::KeyMaterial};

    /// The tag of what somebody typed, be it to be stored or to be looked for.
    fn tag<A: Attribute>(key: &IndexKey, kind: AttributeKind, typed: &str) -> TagInput {
        let value = A::parse(typed).unwrap_or_else(|error| panic!("{typed:?} {error}"));
        Matching::new(kind, &[]).input(key, A::FIELD, &value)
    }

    fn key() -> IndexKey {
        IndexKey::new(KeyMaterial::from_slice(&[7; 32]).unwrap())
    }

    #[test]
    fn all_spellings_of_an_address_have_one_tag_and_other_addresses_another() {
        let groups: [&[&str]; 12] = [
            &[
                "ada@example.com",
                "Ada@Example.COM",
                "  ADA@EXAMPLE.COM\n",
                "ada@ｅｘａｍｐｌｅ．com",
                "ada@example。com",
            ],
            &["ada.lovelace@example.com", "Ada.Lovelace@example.com"],
            &["adalovelace@example.com"],
            &["ada+news@example.com", "Ada+News@example.com"],
            &["josé@example.com", "jose\u{301}@example.com", "JOSÉ@example.com", "JOSE\u{301}@EXAMPLE.com"],
            &["jose@example.com"],
            &[
                "ada@bücher.example",
                "ada@BÜCHER.example",
                "ada@bu\u{308}cher.example",
                "ada@xn--bcher-kva.example",
                "Ada@XN--BCHER-KVA.example",
            ],
            &["οδοσ@example.com", "οδος@example.com", "ΟΔΟΣ@example.com"],
            &["i@example.com", "I@example.com"],
            &["i\u{307}@example.com", "İ@example.com"],
            &["ada@[192.0.2.1]"],
            &["ada@[IPv6:2001:db8::1]", "ada@[IPv6:2001:DB8:0:0:0:0:0:1]"],
        ];
        require_groups::<Email>(AttributeKind::Email, &groups);
    }

    #[test]
    fn all_spellings_of_a_number_have_one_tag_and_other_numbers_another() {
        let groups: [&[&str]; 3] = [
            &[
                "+442079460958",
                "+44 20 7946 0958",
                "+44 (20) 7946-0958",
                "＋４４ ２０ ７９４６ ０９５８",
                "\u{2066}+44\u{a0}20\u{2009}7946\u{202f}0958\u{2069}",
                "\u{feff}+44 20\u{ad}7946\u{fe0f}0958\u{200b}",
                "+44 20\u{2212}7946\u{2011}0958",
            ],
            &["+442079460959"],
            &["+14155550100", " +1 (415) 555-0100 "],
        ];
        require_groups::<Phone>(AttributeKind::Phone, &groups);
    }

    fn require_groups<A: Attribute>(kind: AttributeKind, groups: &[&[&str]]) {
        let key = key();
        let mut tags = Vec::new();
        for group in groups {
            let first = tag::<A>(&key, kind, group[0]);
            for spelling in *group {
                assert_eq!(tag::<A>(&key, kind, spelling), first, "{spelling:?}");
            }
            assert!(!tags.contains(&first), "{group:?}");
            tags.push(first);
        }
    }

    #[test]
    fn the_rules_of_a_text_are_its_own_and_part_of_the_tag() {
        use Normalisation::{NoSpaces, Trim, Uppercase};
        let rules = |steps: &[_]| Matching::new(AttributeKind::Text, steps).rules().to_owned();
        assert_eq!(rules(&[Trim]), "text/1 trim");
        assert_eq!(rules(&[NoSpaces, Uppercase]), "text/1 no-spaces uppercase");
        assert_eq!(Matching::new(AttributeKind::Email, &[Trim]).rules(), "email/1");
        let value = PersonalText::new("A1".to_owned());
        let tag = |steps: &[_], name| Matching::new(AttributeKind::Text, steps).input(&key(), name, &value);
        assert_ne!(tag(&[], "a"), tag(&[Uppercase], "a"));
        assert_ne!(tag(&[], "a"), tag(&[], "b"));
        // What was stored under other rules is brought under these.
        let matching = Matching::new(AttributeKind::Text, &[NoSpaces, Uppercase]);
        let stored = PersonalText::new(" a 1".to_owned());
        assert!(matching.is_same(&stored, &value));
        let text = |text: &str| PersonalText::new(text.to_owned());
        let matching = Matching::new(AttributeKind::Phone, &[]);
        assert!(matching.is_same(&text("+44 20 7946 0958"), &text("+442079460958")));
        assert!(!matching.is_same(&text("none"), &text("+442079460958")));
    }

    #[test]
    fn what_needs_a_mac_has_another_tag_by_each_mac_and_each_key_of_the_backend() {
        let value = PersonalText::new("A1".to_owned());
        let by = |mac_key: &str, mac: u8| {
            let matching = Matching::new(AttributeKind::Text, &[Normalisation::Trim]).with_second(mac_key);
            assert_eq!(matching.rules(), format!("text/1 trim second:{mac_key}"));
            let TagInput::Blinded(blinded) = matching.input(&key(), "a", &value) else {
                panic!("a tag without a MAC")
            };
            (blinded, matching.tag_by_mac(&key(), "a", &[mac; 32]))
        };
        let (blinded, tag) = by("one", 1);
        assert_eq!(by("one", 1), (blinded, tag));
        assert_eq!(by("one", 2).0, blinded);
        assert_ne!(by("one", 2).1, tag);
        assert_ne!(by("other", 1).0, blinded);
        assert_ne!(by("other", 1).1, tag);
    }

    proptest! {
        #[test]
        fn what_is_normal_stays_so(local in "[a-zA-ZäöÄÖσςΣİé\u{301}.+]{1,12}", domain in "[a-zA-ZüÜé\u{301}]{1,8}") {
            if let Ok(value) = Email::parse(&format!("{local}@x{domain}.example")) {
                let matching = Matching::new(AttributeKind::Email, &[]);
                let normal = matching.normal(&value);
                prop_assert_eq!(matching.normal(&normal), normal);
            }
        }

        #[test]
        fn capitals_do_not_matter(local in "[a-z0-9äöé]{1,12}", domain in "[a-z0-9]{1,8}") {
            let address = format!("{local}@{domain}.example");
            let key = key();
            prop_assert_eq!(
                tag::<Email>(&key, AttributeKind::Email, &address),
                tag::<Email>(&key, AttributeKind::Email, &address.to_uppercase())
            );
        }
    }
}
