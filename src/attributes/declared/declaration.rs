use regex::Regex;

use super::{AttributeConfig, AttributeKind, DeclarationError, Mask, Normalisation, normalise::normal};
use crate::{
    attributes::{Matching, SearchSettings},
    envelope::{AttributeError, NamedAttribute, PersonalText},
};

/// An attribute that an operator declared.
#[derive(Debug)]
pub struct Declaration {
    name: String,
    sealed_name: String,
    kind: AttributeKind,
    mask: Mask,
    text: TextRules,
    matching: Matching,
    search: SearchSettings,
}

/// What a text must fulfil, and what is done to it before.
#[derive(Debug)]
struct TextRules {
    normalise: Vec<Normalisation>,
    max_length: usize,
    /// As it was declared, and as it is matched.
    pattern: Option<(String, Regex)>,
}

/// Most characters of a text whose declaration says nothing else.
const DEFAULT_MAX_LENGTH: u32 = 200;
/// Most characters of any text.
const MAX_LENGTH: u32 = 10_000;
/// How large a compiled pattern may be, in bytes.
const MAX_PATTERN: usize = 1 << 20;
/// What the name begins with that sealed values are bound to.
pub const SEALED_PREFIX: &str = "attributes.";

/// What is sealed of declared attributes: their names stand in the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {}

impl NamedAttribute for Declared {}

impl Declaration {
    /// Checks a declaration. The name is good.
    pub(super) fn of(name: &str, config: &AttributeConfig) -> Result<Self, DeclarationError> {
        let refused = |key: &str, problem: String| {
            Err(DeclarationError { key: format!("attributes.{name}.{key}"), problem })
        };
        let AttributeConfig { kind, max_length, pattern, normalise, mask, search, unique, second } = config;
        let Some(kind) = kind else {
            return refused("kind", "is missing: text, email, phone or date".to_owned());
        };
        let mask = mask.unwrap_or_default();
        let search = match SearchSettings::NONE.given_or(*search, *unique, *second) {
            Ok(search) => search,
            Err((key, problem)) => return refused(key, problem.to_owned()),
        };
        if *kind != AttributeKind::Text {
            let given = [
                ("max_length", max_length.is_some()),
                ("pattern", pattern.is_some()),
                ("normalise", normalise.is_some()),
            ];
            if let Some((key, _)) = given.iter().find(|(_, given)| *given) {
                return refused(
                    key,
                    format!("is for kind = \"text\"; a value of kind \"{kind}\" has its own form"),
                );
            }
        }
        let max_length = max_length.unwrap_or(DEFAULT_MAX_LENGTH);
        if !(1..=MAX_LENGTH).contains(&max_length) {
            return refused("max_length", format!("must be from 1 to {MAX_LENGTH} characters"));
        }
        if let Some(problem) = mask.problem_with(*kind) {
            return refused("mask", problem.to_owned());
        }
        let pattern = match pattern {
            None => None,
            Some(pattern) => match whole(pattern) {
                Ok(regex) => Some((pattern.clone(), regex)),
                Err(error) => return refused("pattern", error),
            },
        };
        let text = TextRules {
            normalise: normalise.clone().unwrap_or_else(|| vec![Normalisation::Trim]),
            max_length: usize::try_from(max_length).unwrap_or(usize::MAX),
            pattern,
        };
        let sealed_name = format!("{SEALED_PREFIX}{name}");
        let matching = Matching::new(*kind, &text.normalise);
        Ok(Self { name: name.to_owned(), sealed_name, kind: *kind, mask, text, matching, search })
    }

    /// The name: `full_name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name that sealed values are bound to: `attributes.full_name`.
    #[must_use]
    pub fn sealed_name(&self) -> &str {
        &self.sealed_name
    }

    /// What its values are.
    #[must_use]
    pub fn kind(&self) -> AttributeKind {
        self.kind
    }

    /// How its values are masked.
    #[must_use]
    pub fn mask(&self) -> Mask {
        self.mask
    }

    /// Most characters, of a text.
    #[must_use]
    pub fn max_length(&self) -> Option<usize> {
        (self.kind == AttributeKind::Text).then_some(self.text.max_length)
    }

    /// What a whole text must match, as it was declared.
    #[must_use]
    pub fn pattern(&self) -> Option<&str> {
        self.text.pattern.as_ref().map(|(pattern, _)| pattern.as_str())
    }

    /// Which of its values are the same to who looks for one.
    #[must_use]
    pub fn matching(&self) -> &Matching {
        &self.matching
    }

    /// How people are found by it.
    #[must_use]
    pub fn search(&self) -> SearchSettings {
        self.search
    }

    /// Checks a value and brings it into its normal form.
    ///
    /// # Errors
    ///
    /// [`AttributeError`] says what is wrong, without repeating the value.
    pub fn parse(&self, input: &str) -> Result<PersonalText, AttributeError> {
        let value = self.kind.parse(input)?;
        if self.kind == AttributeKind::Text { self.text.parse(&value) } else { Ok(value) }
    }
}

impl TextRules {
    fn parse(&self, input: &PersonalText) -> Result<PersonalText, AttributeError> {
        let Self { normalise, max_length, pattern } = self;
        // A normalisation may take long or grow: not of what is far too long anyway.
        let too_long = || AttributeError::new(format!("is longer than {max_length} characters"));
        if input.expose().chars().count() > max_length.saturating_mul(4) {
            return Err(too_long());
        }
        let text = normal(input, normalise);
        if text.expose().is_empty() {
            return Err(AttributeError::new("is empty; leave it out, or use null to remove it"));
        }
        if text.expose().chars().count() > *max_length {
            return Err(too_long());
        }
        // They would act on the terminal of whoever is shown it.
        if text.expose().chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            return Err(AttributeError::new("has a control character other than a line break or a tab"));
        }
        match pattern {
            Some((pattern, regex)) if !regex.is_match(text.expose()) => {
                Err(AttributeError::new(format!("does not match the pattern {pattern}")))
            }
            _ => Ok(text),
        }
    }
}

/// The expression for a whole text. The pattern alone must be one, too: `a)|(b` would not stay whole.
fn whole(pattern: &str) -> Result<Regex, String> {
    let compile = |pattern: &str| regex::RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build();
    compile(pattern)
        .and_then(|_| compile(&format!(r"\A(?:{pattern})\z")))
        .map_err(|error| format!("is not a regular expression that can be used: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(toml: &str) -> Result<Declaration, DeclarationError> {
        Declaration::of("some", &toml::from_str(toml).unwrap())
    }

    fn parse(toml: &str, input: &str) -> Result<String, String> {
        let parsed = declared(toml).unwrap().parse(input);
        parsed.map(PersonalText::into_exposed).map_err(|error| error.to_string())
    }

    #[test]
    fn a_text_is_normalised_then_checked() {
        let national_id = "kind = 'text'\npattern = '[A-Z]?[0-9]{9}'\nnormalise = ['no-spaces', 'uppercase']";
        assert_eq!(parse(national_id, " a123 456 789 ").unwrap(), "A123456789");
        for wrong in ["12345678", "1234567890", "x\nA123456789"] {
            assert_eq!(parse(national_id, wrong).unwrap_err(), "does not match the pattern [A-Z]?[0-9]{9}");
        }
        assert_eq!(
            parse("kind = 'text'", "  12 Jose\u{301} Street\nLondon ").unwrap(),
            "12 José Street\nLondon"
        );
        assert_eq!(parse("kind = 'text'\nmax_length = 3", "äöü ").unwrap(), "äöü");
        assert_eq!(
            parse("kind = 'text'\nmax_length = 3", "äöüx").unwrap_err(),
            "is longer than 3 characters"
        );
        assert_eq!(
            parse("kind = 'text'", &"a".repeat(1_000_000)).unwrap_err(),
            "is longer than 200 characters"
        );
        for control in ["a\u{1b}[2J", "a\0b", "a\rb", "a\u{9b}b"] {
            assert!(parse("kind = 'text'", control).unwrap_err().starts_with("has a control character"));
        }
        for empty in ["", " \n", "\u{a0}"] {
            assert!(parse("kind = 'text'", empty).unwrap_err().starts_with("is empty"));
        }
    }

    #[test]
    fn other_kinds_have_their_own_form() {
        assert_eq!(parse("kind = 'date'", "1815-12-10").unwrap(), "1815-12-10");
        assert_eq!(parse("kind = 'phone'", "+44 20 7946 0958").unwrap(), "+442079460958");
        assert_eq!(parse("kind = 'email'", " ada@example.com").unwrap(), "ada@example.com");
    }

    #[test]
    fn a_declaration_that_cannot_be_meant_is_refused_by_its_key() {
        for (toml, key, problem) in [
            (
                "kind = 'date'\nmax_length = 3",
                "max_length",
                "is for kind = \"text\"; a value of kind \"date\" has its own form",
            ),
            ("kind = 'email'\npattern = 'a'", "pattern", "is for kind"),
            ("kind = 'phone'\nnormalise = []", "normalise", "is for kind"),
            ("kind = 'text'\nmax_length = 0", "max_length", "must be from 1 to 10000 characters"),
            ("kind = 'text'\nmax_length = 10001", "max_length", "must be from 1 to 10000 characters"),
            ("kind = 'text'\nmask = 'year'", "mask", "\"year\" is for kind = \"date\""),
            ("kind = 'date'\nmask = 'last-4'", "mask", "\"last-4\" is for kind"),
            ("kind = 'text'\npattern = '['", "pattern", "is not a regular expression"),
            ("kind = 'text'\npattern = 'a)|(?:b'", "pattern", "is not a regular expression"),
            ("kind = 'text'\npattern = '(\\w{1000}){1000}'", "pattern", "is not a regular expression"),
        ] {
            let error = declared(toml).unwrap_err();
            assert_eq!(error.key, format!("attributes.some.{key}"), "{toml}");
            assert!(error.problem.starts_with(problem), "{toml}: {}", error.problem);
        }
    }

    /// A pattern that takes others exponential time.
    #[test]
    fn a_pattern_takes_time_in_proportion_to_the_text() {
        let begin = std::time::Instant::now();
        let toml = "kind = 'text'\nmax_length = 10000\npattern = '(a*)*b'";
        assert!(parse(toml, &"a".repeat(10_000)).is_err());
        assert!(begin.elapsed() < std::time::Duration::from_secs(5));
    }
}
