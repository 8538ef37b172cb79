//! What `[keys]` must fulfil to be used by this program.

use super::{
    BackendConfig, DEFAULT_PROFILE, KeysConfig,
    section::{Context, Invalid, Section},
};
use crate::{
    keys::{Allowances, SettingError},
    redaction,
};

/// The profile in which an unencrypted endpoint need not be on this machine.
pub(super) const LOCALSTACK_PROFILE: &str = "localstack";

impl Section for KeysConfig {
    fn validate(&self, context: &Context<'_>) -> Result<(), Invalid> {
        if !self.backends.contains_key(&self.active) {
            let active = redaction::text(&self.active);
            let names: Vec<_> = self.backends.keys().map(String::as_str).collect();
            let names = names.join(", ");
            let problem = format!("\"{active}\" names no backend; configured under [keys.backends]: {names}");
            return Err(Invalid::new("keys.active", problem));
        }
        let allowances = Allowances {
            plain_http: context.profile == LOCALSTACK_PROFILE,
            create_key_files: context.profile == DEFAULT_PROFILE,
        };
        for (name, backend) in &self.backends {
            let checked = backend.read().and_then(|settings| settings.check(allowances));
            checked.map_err(|SettingError { key, problem }| {
                let section = format!("keys.backends.{name}");
                Invalid::new(key.map_or(section.clone(), |key| format!("{section}.{key}")), problem)
            })?;
        }
        // Otherwise the tags of one index would be made by two keys.
        let mut mac = mac_backends(self);
        if let (Some(one), Some(other)) = (mac.next(), mac.next()) {
            let problem = format!(
                "is set for `{one}`, too: one key makes the MACs of all values. Leave it with one of them"
            );
            return Err(Invalid::new(format!("keys.backends.{other}.mac_key_id"), problem));
        }
        // Otherwise a client would learn nothing but that the request took too long.
        if self.call_timeout >= context.config.http.request_timeout {
            return Err(Invalid::new("keys.call_timeout", "must be shorter than http.request_timeout")
                .beside("http.request_timeout"));
        }
        // Otherwise keys would be unwrapped again and again.
        if self.cache.refresh_ahead > self.cache.time_to_live / 2 {
            let problem = "must be at most half of keys.cache.time_to_live; 0s switches it off";
            return Err(Invalid::new("keys.cache.refresh_ahead", problem).beside("keys.cache.time_to_live"));
        }
        Ok(())
    }
}

/// The names of the backends that make MACs.
pub(super) fn mac_backends(keys: &KeysConfig) -> impl Iterator<Item = &str> {
    let makes_macs =
        |backend: &BackendConfig| backend.read().is_ok_and(|settings| settings.mac_key().is_some());
    keys.backends.iter().filter(move |(_, backend)| makes_macs(backend)).map(|(name, _)| name.as_str())
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
