//! The settings of a key backend, as a configuration has them, and as the backend's kind reads them.

use std::fmt;

use serde::{Serialize, de, de::DeserializeOwned};
use serde_json::Value;

use super::{KINDS, deserializer::Settings};
use crate::redaction;

/// The settings of a backend, as they were written, without its kind.
pub type RawSettings = serde_json::Map<String, Value>;

/// Reads the settings of a kind.
///
/// # Errors
///
/// [`SettingError`] names the setting.
pub fn read<T: DeserializeOwned>(raw: &RawSettings) -> Result<T, SettingError> {
    T::deserialize(Settings(raw))
}

/// Settings with all that have a default: what [`BackendKind::specimen`](super::BackendKind::specimen) gives. `required` are
/// those without a default.
#[must_use]
pub fn specimen<T: DeserializeOwned + Serialize>(
    required: impl IntoIterator<Item = (&'static str, Value)>,
) -> RawSettings {
    let raw: RawSettings = required.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    match read::<T>(&raw).map(|settings| serde_json::to_value(&settings)) {
        Ok(Ok(Value::Object(all))) => all,
        _ => raw,
    }
}

/// A setting of a backend is not as it should be. Holds no value that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The setting, below `[keys.backends.NAME]`; `None` if one is missing.
    pub key: Option<String>,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl SettingError {
    /// What is wrong with one setting.
    pub fn of(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: Some(key.into()), problem: problem.into() }
    }

    /// The same, of a setting that is below another one.
    #[must_use]
    pub(super) fn below(mut self, outer: &str) -> Self {
        self.key = Some(match self.key {
            Some(key) => format!("{outer}.{key}"),
            None => outer.to_owned(),
        });
        self
    }

    pub(super) fn unknown_kind(name: &str) -> Self {
        let names: Vec<_> = KINDS.iter().map(|kind| kind.name()).collect();
        let problem =
            format!("unknown variant: found `{}`, expected {}", redaction::text(name), one_of(&names));
        Self::of("kind", problem)
    }
}

impl std::error::Error for SettingError {}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

/// What a type says of a value that does not fit. Values are redacted: one may be a URL with a password.
impl de::Error for SettingError {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self { key: None, problem: problem.to_string() }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("invalid type: found {}, expected {expected}", shown(found)))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("invalid value {}, expected {expected}", shown(found)))
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        let found = redaction::text(found);
        Self::custom(format_args!("unknown variant: found `{found}`, expected {}", one_of(expected)))
    }

    fn unknown_field(found: &str, expected: &'static [&'static str]) -> Self {
        let shown = redaction::text(found);
        Self::of(&*shown, format!("unknown field: found `{shown}`, expected {}", one_of(expected)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format_args!("missing field `{field}`"))
    }
}

fn shown(found: de::Unexpected<'_>) -> String {
    match found {
        de::Unexpected::Str(text) => format!("string {:?}", redaction::text(text)),
        other => other.to_string(),
    }
}

fn one_of(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match &quoted[..] {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [one, other] => format!("{one} or {other}"),
        several => format!("one of {}", several.join(", ")),
    }
}
