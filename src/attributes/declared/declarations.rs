use std::{collections::BTreeMap, sync::Arc};

use super::{AttributesConfig, Declaration, MAX_ATTRIBUTE_NAME, is_attribute_name};
use crate::{
    attributes::{Email, Phone},
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

/// All attributes that an operator declared. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Declarations(Arc<BTreeMap<String, Arc<Declaration>>>);

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
        if config.0.len() > MAX_DECLARED {
            let problem =
                format!("has {} attributes: at most {MAX_DECLARED} can be declared", config.0.len());
            return Err(DeclarationError { key: "attributes".to_owned(), problem });
        }
        let declare = |(name, config): (&String, _)| {
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
        let declared = config.0.iter().map(declare).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(declared)))
    }

    /// The attribute with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Declaration>> {
        self.0.get(name)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Declaration>> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

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
    fn names_that_are_taken_or_none_and_too_many_are_refused() {
        for (toml, key, problem) in [
            ("email = { kind = 'email' }", "attributes.email", "is there already"),
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
