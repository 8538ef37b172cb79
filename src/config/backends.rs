use figment::Figment;

use super::{
    ConfigError, DEFAULT_PROFILE, KeysConfig,
    load::{collect_places, place},
};
use crate::keys::{Allowances, SettingError};

/// The profile in which an unencrypted endpoint need not be on this machine.
const LOCALSTACK_PROFILE: &str = "localstack";

/// Has the kind of each backend read and check its settings.
///
/// # Errors
///
/// [`ConfigError::Value`] names the key, and what set it.
pub(super) fn check(figment: &Figment, keys: &KeysConfig, profile: &str) -> Result<(), ConfigError> {
    let allowances = Allowances {
        plain_http: profile == LOCALSTACK_PROFILE,
        create_key_files: profile == DEFAULT_PROFILE,
    };
    for (name, backend) in &keys.backends {
        let checked = backend.read().and_then(|settings| settings.check(allowances));
        checked.map_err(|error| explain(figment, name, error))?;
    }
    Ok(())
}

/// Whether a key is a secret of a backend, whatever it looks like.
pub(super) fn is_secret(keys: &KeysConfig, key: &str) -> bool {
    let Some(rest) = key.strip_prefix("keys.backends.") else { return false };
    // A backend's name may have a dot.
    keys.backends.iter().any(|(name, backend)| {
        let setting = rest.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('.'));
        setting
            .and_then(|setting| setting.split('.').next())
            .is_some_and(|setting| backend.is_secret(setting))
    })
}

/// Says where a bad setting stands. What is missing stands nowhere: then, what set the others of its section.
fn explain(figment: &Figment, backend: &str, SettingError { key, problem }: SettingError) -> ConfigError {
    let mut names = vec!["keys", "backends", backend];
    names.extend(key.as_deref());
    let key = names.join(".");
    let mut places = Vec::new();
    // A name that an operator chose may have a dot, and then figment does not find it.
    while places.is_empty() && names.len() > 2 {
        if let Ok(value) = figment.find_value(&names.join(".")) {
            collect_places(figment, &value, &mut places);
            places.extend(figment.get_metadata(value.tag()).map(place).filter(|_| places.is_empty()));
        }
        names.pop();
    }
    let source_name = if places.is_empty() { "the defaults".to_owned() } else { places.join(", ") };
    ConfigError::Value { key, source_name, problem }
}
