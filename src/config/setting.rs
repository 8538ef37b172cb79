use figment::{
    Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};

use super::{ConfigError, shape::Shape};

/// One value from outside the files: an environment variable, or `--set`.
#[derive(Debug)]
pub(super) struct Setting {
    /// The variable, or the flag.
    pub(super) source: String,
    /// The key, name by name.
    pub(super) path: Vec<String>,
    pub(super) value: Value,
}

impl Setting {
    /// Reads one `--set section.key=value`.
    pub(super) fn from_flag(text: &str, shape: &Shape) -> Result<Self, ConfigError> {
        let malformed = || {
            // What comes after the key may be a secret.
            let is_key = |c: char| c.is_alphanumeric() || ".-_ ".contains(c);
            let key = text.split(|c| !is_key(c)).next().unwrap_or_default();
            ConfigError::Override(if key == text { key.to_owned() } else { format!("{key}…") })
        };
        let (key, value) = text.split_once('=').ok_or_else(malformed)?;
        let key = key.trim();
        let path: Vec<_> = key.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) || key.contains("://") {
            return Err(malformed());
        }
        Ok(Self { source: format!("--set {key}"), value: shape.read(&path, value), path })
    }
}

impl Provider for &Setting {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nest = |value: Value, name: &String| Dict::from([(name.clone(), value)]).into();
        let nested = self.path.iter().rev().fold(self.value.clone(), nest);
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}
