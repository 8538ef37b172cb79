//! Configuration: defaults in code < `config/default.toml` < `config/<profile>.toml` < environment
//! (`OUBLIETTE_SECTION__KEY`) < `--set section.key=value`.
//!
//! One file per section; every key is documented where it is declared, and in `config/default.toml`.
//! Each validates itself. An unknown key, or a value that cannot be used, is an error that names where it stands. A secret
//! comes as a value or as a file, never both, and is printed redacted.

mod arguments;
mod attributes;
mod audit;
mod auth;
mod database_section;
mod environment;
mod error;
mod graphql;
mod http;
mod keys_section;
mod ledger;
mod limits;
mod load;
mod log;
mod memory;
mod metrics;
mod peers;
mod place;
mod report;
mod search;
mod section;
mod service_links;
mod setting;
mod shape;
mod web_origin;

use serde::{Deserialize, Serialize};

pub use crate::{
    attributes::{AttributeConfig, AttributesConfig},
    database::{DatabaseConfig, DatabaseUrlError},
    keys::{
        aws_kms::{AwsCredentials, AwsKmsConfig},
        config::{BackendConfig, CacheConfig, KeysConfig},
        local::LocalBackendConfig,
    },
};
pub use oubliette_platform::{ServiceUrl, ServiceUrlError};

pub use arguments::ConfigArguments;
pub use audit::{AuditConfig, AuditReads};
pub use auth::{AuthConfig, AuthMode, JwtAlgorithm, JwtConfig};
pub use environment::EnvironmentError;
pub use error::ConfigError;
pub use graphql::GraphqlConfig;
pub use http::{HttpConfig, TlsConfig};
pub use ledger::{LedgerConfig, SignerConfig, SignerKind, SinkConfig, SinkUrl, SinkUrlError};
pub use limits::LimitsConfig;
pub use load::{ConfigSources, DEFAULT_PROFILE, LoadedConfig};
pub use log::{LogConfig, LogFormat};
pub use memory::{MemoryConfig, MemoryLock};
pub use metrics::MetricsConfig;
pub use peers::PeersConfig;
pub use report::{ConfigLine, report};
pub use search::SearchConfig;
pub use web_origin::{WebOrigin, WebOriginError};

/// Everything that can be configured.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP listener.
    pub http: HttpConfig,
    /// The listener for whoever watches the server.
    pub metrics: MetricsConfig,
    /// Who may call.
    pub auth: AuthConfig,
    /// How much of it.
    pub limits: LimitsConfig,
    /// Where the data is.
    pub database: DatabaseConfig,
    /// What wraps data keys, and how long they stay open.
    pub keys: KeysConfig,
    /// What is kept of a person, beside the e-mail address and the phone number.
    pub attributes: AttributesConfig,
    /// By what people are found.
    pub search: SearchConfig,
    /// How the erasure ledger is shown to strangers.
    pub ledger: LedgerConfig,
    /// What the audit trail records.
    pub audit: AuditConfig,
    /// What one GraphQL request may cost.
    pub graphql: GraphqlConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// What keeps secrets in the process's memory.
    pub memory: MemoryConfig,
    /// How a server learns whom other servers have forgotten.
    pub peers: PeersConfig,
}
