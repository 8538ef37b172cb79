use std::{collections::BTreeMap, ffi::OsString};

use super::{service_links, setting::Setting, shape::Shape};

const PREFIX: &str = "OUBLIETTE_";

/// Variables of ours that are not configuration keys.
const NOT_KEYS: [&str; 2] = ["PROFILE", "CONFIG_DIR"];

/// `OUBLIETTE_HTTP__LISTEN` sets `http.listen`. Anything else with the prefix is an unknown key, so that a slip in a name
/// (one underscore for two) does not go unnoticed.
///
/// # Errors
///
/// [`EnvironmentError`] names the variable that cannot be meant.
pub(super) fn settings(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    shape: &Shape,
) -> Result<Vec<Setting>, EnvironmentError> {
    let mut found: BTreeMap<Vec<String>, (String, String)> = BTreeMap::new();
    for (name, text) in variables {
        let name = name.to_string_lossy().into_owned();
        let Some(key) = key_in(&name) else { continue };
        let text = text.into_string().map_err(|_| EnvironmentError::NotUnicode(name.clone()))?;
        if let Some(service) = service_links::service(&name, &text) {
            return Err(EnvironmentError::ServiceLink { variable: name, service });
        }
        let path: Vec<_> = key.split("__").map(meant).collect();
        if path.iter().any(String::is_empty) {
            return Err(EnvironmentError::NoKey(name));
        }
        if let Some((first, _)) = found.insert(path, (name.clone(), text)) {
            return Err(EnvironmentError::same(first, name));
        }
    }
    // What begins with a path comes right after it.
    for ((outer, (first, _)), (inner, (second, _))) in found.iter().zip(found.iter().skip(1)) {
        if inner.starts_with(outer) {
            return Err(EnvironmentError::same(first.clone(), second.clone()));
        }
    }
    let setting = |(path, (name, text)): (Vec<String>, (String, String))| Setting {
        source: name,
        value: shape.read(&path, &text),
        path,
    };
    Ok(found.into_iter().map(setting).collect())
}

/// What a variable's name says after the prefix, if it is for us. The prefix may be written in any case.
fn key_in(name: &str) -> Option<&str> {
    let (prefix, key) = name.split_at_checked(PREFIX.len())?;
    let starts_with =
        |word: &str| key.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let is_other = NOT_KEYS.iter().any(|other| key.eq_ignore_ascii_case(other)) || starts_with("TEST_");
    (prefix.eq_ignore_ascii_case(PREFIX) && !is_other).then_some(key)
}

/// Variables are written in capitals, and our keys are not. But a name that an operator chose, such as one in an encryption
/// context, may have both, and must stay what it is.
fn meant(name: &str) -> String {
    if name.chars().any(char::is_lowercase) { name.to_owned() } else { name.to_lowercase() }
}

/// A variable with our prefix cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// One of them would win, and nobody could tell which.
    #[error("the variables {first} and {second} set the same configuration key: remove one")]
    SameKey {
        /// A variable.
        first: String,
        /// Another one.
        second: String,
    },
    /// A part of the name is empty.
    #[error("the variable {0} names no configuration key: it is of the form OUBLIETTE_SECTION__KEY")]
    NoKey(String),
    /// Its value is no text.
    #[error("the variable {0} has a value that is not UTF-8")]
    NotUnicode(String),
    /// It tells where a service of our name is, and was not set by the operator.
    #[error(
        "the variable {variable} is none of Oubliette's: Kubernetes sets it in every pod of the namespace, for the Service `{service}`; set `enableServiceLinks: false` in the pod's spec, or give the Service a name that does not begin with `oubliette`"
    )]
    ServiceLink {
        /// The variable.
        variable: String,
        /// The service.
        service: String,
    },
}

impl EnvironmentError {
    /// In an order that does not depend on the environment's.
    fn same(one: String, other: String) -> Self {
        let (first, second) = if one < other { (one, other) } else { (other, one) };
        Self::SameKey { first, second }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        let variables = variables.iter().map(|(name, text)| (name.into(), text.into()));
        let settings =
            settings(variables, &Shape::of_config().unwrap()).map_err(|error| error.to_string())?;
        let line = |setting: Setting| (setting.path.join("/"), format!("{:?}", setting.value));
        Ok(settings.into_iter().map(line).collect())
    }

    fn paths(names: &[&str]) -> Vec<String> {
        let variables: Vec<_> = names.iter().map(|name| (*name, "x")).collect();
        read(&variables).unwrap().into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn capitals_mean_the_lower_case_name_and_all_else_stays() {
        for (name, path) in [
            ("OUBLIETTE_HTTP__LISTEN", "http/listen"),
            ("oubliette_http__listen", "http/listen"),
            ("OUBLIETTE_KEYS__BACKENDS__AWS_2__KEY_ID", "keys/backends/aws_2/key_id"),
            ("OUBLIETTE_KEYS__BACKENDS__AWS__CONTEXT__TenantId", "keys/backends/aws/context/TenantId"),
            ("OUBLIETTE_KEYS__BACKENDS__AWS__CONTEXT__tenant.id", "keys/backends/aws/context/tenant.id"),
            ("OUBLIETTE_AUTH__JWT__SCOPES__0012", "auth/jwt/scopes/0012"),
            ("OUBLIETTE_HTTP_LISTEN", "http_listen"),
        ] {
            assert_eq!(paths(&[name]), [path]);
        }
        let others = ["OUBLIETTE_PROFILE", "OUBLIETTE_CONFIG_DIR", "OUBLIETTE_TEST_X", "OUBLIETT", "PATH"];
        assert!(paths(&others).is_empty());
    }

    #[test]
    fn two_variables_for_one_key_are_refused() {
        for (first, second) in [
            ("OUBLIETTE_K__CONTEXT__TENANTID", "OUBLIETTE_K__CONTEXT__tenantid"),
            ("OUBLIETTE_K__CONTEXT", "OUBLIETTE_K__CONTEXT__tenantid"),
            ("OUBLIETTE_HTTP__LISTEN", "oubliette_http__listen"),
        ] {
            for variables in [[(first, "1"), (second, "2")], [(second, "2"), (first, "1")]] {
                let error = read(&variables).unwrap_err();
                assert!(error.contains(&format!("{first} and {second} set the same")), "{error}");
            }
        }
        assert_eq!(paths(&["OUBLIETTE_K__TENANTID", "OUBLIETTE_K__tenantId"]), ["k/tenantId", "k/tenantid"]);
    }

    #[test]
    fn a_part_that_is_empty_names_nothing() {
        for name in ["OUBLIETTE_", "OUBLIETTE_HTTP__", "OUBLIETTE___LISTEN_", "OUBLIETTE_K____X"] {
            let error = read(&[(name, "x")]).unwrap_err();
            assert!(error.contains(&format!("{name} names no configuration key")), "{error}");
        }
    }
}
