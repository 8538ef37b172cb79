use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

#[cfg(feature = "aws-kms")]
use crate::aws_kms::AwsKmsConfig;

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

/// `[keys.backends.<name>]`: one key backend.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum BackendConfig {
    #[cfg(feature = "local")]
    /// `kind = "local"`: wrapping keys in a file. For development.
    Local(LocalBackendConfig),
    #[cfg(feature = "aws-kms")]
    /// `kind = "aws-kms"`: AWS Key Management Service, or LocalStack.
    AwsKms(AwsKmsConfig),
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
