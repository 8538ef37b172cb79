use std::{collections::BTreeMap, sync::Arc};

use super::{AttributeConfig, AttributesConfig, Declaration, MAX_ATTRIBUTE_NAME, is_attribute_name};
use crate::{
    attributes::{Email, Phone, Search, SearchSettings},
    envelope::Attribute,
};

/// Most attributes that can be declared.
pub const MAX_DECLARED: usize = 64;

/// What names something else of a user already, in the API, in the audit trail, or in what `oubliette-admin users show --json` prints.
pub const RESERVED: [&str; 9] = [
    "id",
    "username",
    Email::FIELD,
    Phone::FIELD,
    "masked",
    "errors",
    "data_keys",
    "created_at",
    "updated_at",
];
/// How the audit trail marks a look at a masked value.
const MASKED: &str = "_masked";

/// The attributes that are there without being declared. What the configuration says of them is how people are found by them.
pub const BUILT_IN: [&str; 2] = [Email::FIELD, Phone::FIELD];

/// People are found by an e-mail address and by a phone number, which several may share.
const BUILT_IN_SEARCH: SearchSettings = SearchSettings { search: Search::Exact, ..SearchSettings::NONE };

/// All attributes that an operator declared. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Declarations(Arc<Declared>);

#[derive(Debug, Default)]
struct Declared {
    declared: BTreeMap<String, Arc<Declaration>>,
    /// Of those that are built in and not as they are by default.
    built_in: BTreeMap<String, SearchSettings>,
}

/// A declaration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct DeclarationError {
    /// The whole key: `attributes.full_name.mask`.
    pub key: String,
    /// What is wrong and what to do, as the end of a sentence that begins with the key.
    pub problem: String,
}

impl Declarations {
    /// Checks what was declared.
    ///
    /// # Errors
    ///
    /// [`DeclarationError`], the first.
    pub fn of(config: &AttributesConfig) -> Result<Self, DeclarationError> {
        let (built_in, declared): (BTreeMap<_, _>, BTreeMap<_, _>) =
            config.0.iter().partition(|(name, _)| BUILT_IN.contains(&name.as_str()));
        if declared.len() > MAX_DECLARED {
            let problem =
                format!("has {} attributes: at most {MAX_DECLARED} can be declared", declared.len());
            return Err(DeclarationError { key: "attributes".to_owned(), problem });
        }
        let declare = |(name, config): (&String, &AttributeConfig)| {
            let refused = |problem| DeclarationError { key: format!("attributes.{name}"), problem };
            if name.ends_with(MASKED) {
                return Err(refused(format!(
                    "must not end in {MASKED}, which the audit trail puts behind names"
                )));
            }
            if RESERVED.contains(&name.as_str()) {
                return Err(refused(
                    "is there already, and cannot be declared: choose another name".to_owned(),
                ));
            }
            if !is_attribute_name(name) {
                return Err(refused(format!(
                    "is not a name for an attribute: a to z, 0 to 9 and underscores, beginning with a letter, at most {MAX_ATTRIBUTE_NAME}"
                )));
            }
            Ok((name.clone(), Arc::new(Declaration::of(name, config)?)))
        };
        let settings =
            |(name, config): (&String, &AttributeConfig)| Ok((name.clone(), built_in_search(name, config)?));
        Ok(Self(Arc::new(Declared {
            declared: declared.into_iter().map(declare).collect::<Result<_, _>>()?,
            built_in: built_in.into_iter().map(settings).collect::<Result<_, _>>()?,
        })))
    }

    /// The attribute with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Declaration>> {
        self.0.declared.get(name)
    }

    /// How people are found by an attribute, be it built in or declared.
    #[must_use]
    pub fn search(&self, name: &str) -> SearchSettings {
        if let Some(declaration) = self.get(name) {
            return declaration.search();
        }
        let default = if BUILT_IN.contains(&name) { BUILT_IN_SEARCH } else { SearchSettings::NONE };
        self.0.built_in.get(name).copied().unwrap_or(default)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Declaration>> {
        self.0.declared.values()
    }
}

/// Of one that is built in, nothing else can be said.
fn built_in_search(name: &str, config: &AttributeConfig) -> Result<SearchSettings, DeclarationError> {
    let AttributeConfig { kind, max_length, pattern, normalise, mask, search, unique, second } = config;
    let refused =
        |key: &str, problem: String| DeclarationError { key: format!("attributes.{name}.{key}"), problem };
    let given = [
        ("kind", kind.is_some()),
        ("max_length", max_length.is_some()),
        ("pattern", pattern.is_some()),
        ("normalise", normalise.is_some()),
        ("mask", mask.is_some()),
    ];
    if let Some((key, _)) = given.iter().find(|(_, given)| *given) {
        let problem = format!(
            "cannot be set: `{name}` is there already, and only search, unique and second are yours to choose"
        );
        return Err(refused(key, problem));
    }
    let settings = BUILT_IN_SEARCH.given_or(*search, *unique, *second);
    settings.map_err(|(key, problem)| refused(key, problem.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::attributes::Second;

    fn declared(toml: &str) -> Result<Declarations, DeclarationError> {
        Declarations::of(&toml::from_str(toml).unwrap())
    }

    #[test]
    fn names_are_found_and_others_are_not() {
        let declared = declared("full_name = { kind = 'text' }\nborn = { kind = 'date' }").unwrap();
        assert_eq!(declared.iter().map(|one| one.name()).collect::<Vec<_>>(), ["born", "full_name"]);
        assert_eq!(declared.get("born").unwrap().sealed_name(), "attributes.born");
        assert!(declared.get("attributes.born").is_none());
    }

    #[test]
    fn people_are_found_by_what_is_built_in_and_by_what_is_declared_so() {
        let declared = declared(
            "email = { unique = true }\nnational_id = { kind = 'text', search = 'exact', unique = true, second = 'backend' }\nborn = { kind = 'date' }",
        )
        .unwrap();
        let exact = |unique| SearchSettings { search: Search::Exact, unique, second: Second::None };
        for (name, settings) in [
            ("email", exact(true)),
            ("phone", exact(false)),
            ("national_id", SearchSettings { second: Second::Backend, ..exact(true) }),
            ("born", SearchSettings::NONE),
            ("nothing", SearchSettings::NONE),
        ] {
            assert_eq!(declared.search(name), settings, "{name}");
        }
        assert_eq!(Declarations::default().search("email"), exact(false));
        assert_eq!(declared.iter().count(), 2);
    }

    #[test]
    fn names_that_are_taken_or_none_and_too_many_are_refused() {
        for (toml, key, problem) in [
            (
                "email = { kind = 'email' }",
                "attributes.email.kind",
                "cannot be set: `email` is there already",
            ),
            ("phone = { mask = 'hidden' }", "attributes.phone.mask", "cannot be set"),
            ("phone = { search = 'none', unique = true }", "attributes.phone.unique", "needs search"),
            ("a = { kind = 'date', unique = true }", "attributes.a.unique", "needs search = \"exact\""),
            ("phone = { search = 'none', second = 'backend' }", "attributes.phone.second", "needs search"),
            ("a = { kind = 'date', second = 'backend' }", "attributes.a.second", "needs search = \"exact\""),
            ("a = { mask = 'hidden' }", "attributes.a.kind", "is missing"),
            ("tax_id_masked = { kind = 'text' }", "attributes.tax_id_masked", "must not end in _masked"),
            ("data_keys = { kind = 'text' }", "attributes.data_keys", "is there already"),
            ("FullName = { kind = 'text' }", "attributes.FullName", "is not a name for an attribute"),
            ("a = { kind = 'date', mask = 'email' }", "attributes.a.mask", "\"email\" is for"),
        ] {
            let error = declared(toml).unwrap_err();
            assert_eq!(error.key, key);
            assert!(error.problem.starts_with(problem), "{error}");
        }
        let many = |number: usize| {
            let mut toml = String::new();
            (0..number).for_each(|place| writeln!(toml, "a{place} = {{ kind = 'text' }}").unwrap());
            declared(&toml)
        };
        assert!(many(MAX_DECLARED).is_ok());
        assert_eq!(many(MAX_DECLARED + 1).unwrap_err().key, "attributes");
    }
}
