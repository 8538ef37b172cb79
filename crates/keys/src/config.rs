use std::{collections::BTreeMap, fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::{BackendSettings, RawSettings, SettingError, kind, redaction};

/// `[keys]`: what wraps data keys, and how long they stay open.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeysConfig {
    /// The backend that wraps new data keys: a name under `[keys.backends]`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub active: String,
    /// All backends. Those that are not active still unwrap what they wrapped.
    pub backends: BTreeMap<String, BackendConfig>,
    /// The cache of open data keys.
    pub cache: CacheConfig,
    /// Most calls of one server to one backend at the same time.
    pub max_concurrent_calls: NonZeroUsize,
    /// Longest time for one call, the wait for its turn and all retries included. Shorter than
    /// `http.request_timeout`, so that a client learns which part did not answer.
    #[serde(with = "humantime_serde")]
    pub call_timeout: Duration,
}

impl Default for KeysConfig {
    fn default() -> Self {
        Self {
            active: String::new(),
            backends: BTreeMap::new(),
            cache: CacheConfig::default(),
            max_concurrent_calls: const { NonZeroUsize::new(64).unwrap() },
            call_timeout: Duration::from_secs(5),
        }
    }
}

/// `[keys.backends.<name>]`: one key backend. Its kind reads its settings: see [`BackendKind`](crate::BackendKind).
#[derive(Clone, Deserialize)]
pub struct BackendConfig {
    /// The kind: the name of one of the [`KINDS`](crate::KINDS).
    pub kind: String,
    /// Everything else, as it was written. A URL among it may hold a password.
    #[serde(flatten)]
    pub settings: RawSettings,
}

impl BackendConfig {
    /// A backend of a kind, with settings.
    pub fn new(kind: impl Into<String>, settings: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), value));
        Self { kind: kind.into(), settings: settings.collect() }
    }

    /// The settings, as the kind understands them.
    ///
    /// # Errors
    ///
    /// [`SettingError`] names the setting.
    pub fn read(&self) -> Result<Arc<dyn BackendSettings>, SettingError> {
        kind(&self.kind)?.settings(&self.settings)
    }

    /// Whether the kind says that a setting is a secret, whatever it looks like.
    #[must_use]
    pub fn is_secret(&self, setting: &str) -> bool {
        kind(&self.kind).is_ok_and(|kind| kind.secrets().contains(&setting))
    }

    /// The settings without those that hold a secret.
    fn harmless(&self) -> impl Iterator<Item = (&String, &Value)> {
        let settings = self.settings.iter().filter(|(name, _)| !self.is_secret(name));
        settings.filter(|(name, value)| is_harmless_text(name) && is_harmless(value))
    }
}

/// Leaves out what holds a secret, as every other section does.
impl Serialize for BackendConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = Value::from(redaction::text(&self.kind));
        serializer.collect_map([(&"kind".to_owned(), &kind)].into_iter().chain(self.harmless()))
    }
}

impl fmt::Debug for BackendConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entry(&"kind", &redaction::text(&self.kind)).entries(self.harmless()).finish()
    }
}

fn is_harmless_text(text: &str) -> bool {
    redaction::text(text) == text
}

fn is_harmless(value: &Value) -> bool {
    match value {
        Value::String(text) => is_harmless_text(text),
        Value::Array(values) => values.iter().all(is_harmless),
        Value::Object(table) => {
            table.iter().all(|(name, value)| is_harmless_text(name) && is_harmless(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// `[keys.cache]`: open data keys, kept for a while.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Most keys in memory, about 1 KB each.
    pub max_entries: u64,
    /// A key is wiped this long after it was unwrapped, at the latest. Each key's own time is up to a tenth
    /// shorter, so that keys which came together do not go together.
    #[serde(with = "humantime_serde")]
    pub time_to_live: Duration,
    /// A key that nobody used for this long is wiped.
    #[serde(with = "humantime_serde")]
    pub time_to_idle: Duration,
    /// A key that is used in the last part of its life, this long, is unwrapped again in the background.
    /// Zero: never.
    #[serde(with = "humantime_serde")]
    pub refresh_ahead: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            max_entries: 100_000,
            time_to_live: Duration::from_mins(5),
            time_to_idle: Duration::from_mins(1),
            refresh_ahead: Duration::from_secs(30),
        }
    }
}
