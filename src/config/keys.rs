use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

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
    /// Most backend calls of one server at the same time.
    pub max_concurrent_calls: NonZeroUsize,
}

impl Default for KeysConfig {
    fn default() -> Self {
        Self {
            active: String::new(),
            backends: BTreeMap::new(),
            cache: CacheConfig::default(),
            max_concurrent_calls: const { NonZeroUsize::new(64).unwrap() },
        }
    }
}

/// `[keys.backends.<name>]`: one key backend.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum BackendConfig {
    /// `kind = "local"`: wrapping keys in a file. For development.
    Local(LocalBackendConfig),
}

/// A local key backend.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LocalBackendConfig {
    /// The key file: TOML, mode 0600.
    pub file: PathBuf,
    /// Whether to make the file, with one fresh wrapping key, if it is missing. Only in the profile
    /// `local`.
    #[serde(default)]
    pub create_if_missing: bool,
}

/// `[keys.cache]`: open data keys, kept for a while.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Most keys in memory, about 1 KB each.
    pub max_entries: u64,
    /// A key is unwrapped again this long after it was unwrapped.
    #[serde(with = "humantime_serde")]
    pub time_to_live: Duration,
    /// A key that nobody used for this long is wiped.
    #[serde(with = "humantime_serde")]
    pub time_to_idle: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            max_entries: 100_000,
            time_to_live: Duration::from_mins(5),
            time_to_idle: Duration::from_mins(1),
        }
    }
}
