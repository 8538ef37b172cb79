use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use oubliette_ledger::{Policy, SignedCheckpoint};
use serde::{Deserialize, Serialize};

use super::{
    ServiceUrl,
    section::{Context, Invalid, Section},
};
use crate::redaction;

/// `[ledger]`: how the erasure ledger is kept outside the database, and shown to strangers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerConfig {
    /// The name of this ledger, such as `example.com/oubliette`: no other ledger has it, and it never changes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub origin: String,
    /// What signs its heads: the same for all servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<SignerConfig>,
    /// Public keys that have signed before, `NAME+ID+KEY`, as policies had them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub former_keys: Vec<String>,
    /// Where it is kept outside the database, by name.
    #[serde(skip_serializing)]
    pub sinks: BTreeMap<String, SinkConfig>,
    /// How often a server compares the database with the sinks, and publishes. At least ten milliseconds.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// How long a server answers about people while it can reach no sink.
    #[serde(with = "humantime_serde")]
    pub unreachable_for: Duration,
}

/// `[ledger.signer]`: what signs heads of the ledger.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SignerConfig {
    /// Where the key is.
    pub kind: SignerKind,
    /// The file with the key.
    pub file: PathBuf,
    /// Whether a server that finds no file makes a key.
    #[serde(default)]
    pub create_if_missing: bool,
}

/// Where a key is that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignerKind {
    /// In a file of this machine.
    Local,
}

/// `[ledger.sinks.NAME]`: a place outside the database that keeps the ledger.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// Where.
    pub url: SinkUrl,
    /// Where the service answers, if not at its usual place: an S3 of your own, or an emulator.
    pub endpoint_url: Option<ServiceUrl>,
    /// The region of an S3 bucket, if the environment does not say it.
    pub region: Option<String>,
}

/// Where a sink is: `file:///var/lib/oubliette-ledger`, `file://data/ledger` (below the working directory), `s3://bucket/prefix`, `gs://bucket/prefix`,
/// `az://container/prefix`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SinkUrl {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A store that is reached over the network.
    Service(ServiceUrl),
}

/// A text is no place of a sink.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkUrlError {
    /// It is no URL.
    #[error("is no URL such as file:///var/lib/oubliette-ledger or s3://bucket/prefix")]
    NotAUrl,
    /// Nothing is known that could be reached so.
    #[error("begins with {0}:, and can begin with file:, s3:, gs:, az:")]
    Scheme(String),
}

impl TryFrom<String> for SinkUrl {
    type Error = SinkUrlError;

    fn try_from(text: String) -> Result<Self, SinkUrlError> {
        if let Some(folder) = text.strip_prefix("file://") {
            return if folder.is_empty() {
                Err(SinkUrlError::NotAUrl)
            } else {
                Ok(Self::Folder(folder.into()))
            };
        }
        let url: ServiceUrl = text.parse().map_err(|_| SinkUrlError::NotAUrl)?;
        let scheme = url.expose().scheme();
        match (scheme, url.expose().has_host()) {
            ("s3" | "gs" | "az", true) => Ok(Self::Service(url)),
            ("s3" | "gs" | "az" | "file", _) => Err(SinkUrlError::NotAUrl),
            _ => Err(SinkUrlError::Scheme(scheme.to_owned())),
        }
    }
}

impl fmt::Display for SinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "file://{}", folder.display()),
            Self::Service(url) => url.fmt(f),
        }
    }
}

impl fmt::Debug for SinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SinkUrl({self})")
    }
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            origin: String::new(),
            signer: None,
            former_keys: Vec::new(),
            sinks: BTreeMap::new(),
            poll_interval: Duration::from_millis(500),
            unreachable_for: Duration::from_hours(1),
        }
    }
}

impl Section for LedgerConfig {
    fn validate(&self, _: &Context<'_>) -> Result<(), Invalid> {
        if self.poll_interval < Duration::from_millis(10) {
            return Err(Invalid::new("ledger.poll_interval", "must be at least 10ms"));
        }
        if self.unreachable_for <= self.poll_interval {
            let problem = "must be longer than ledger.poll_interval, such as 1h";
            return Err(Invalid::new("ledger.unreachable_for", problem).beside("ledger.poll_interval"));
        }
        if let Some(place) = self.former_keys.iter().position(|key| !is_key(key)) {
            let problem =
                "is no public key of a log: NAME+ID+KEY, as `oubliette-admin ledger policy` printed it";
            return Err(Invalid::new(
                "ledger.former_keys",
                format!("has a line, number {}, that {problem}", place + 1),
            ));
        }
        if self.signer.is_none() && !self.sinks.is_empty() {
            return Err(Invalid::new(
                "ledger.signer",
                "is missing: what is kept outside the database is signed; set kind = \"local\" and a file",
            ));
        }
        if self.origin.is_empty() {
            return match self.signer {
                Some(_) => Err(Invalid::new(
                    "ledger.origin",
                    "is missing: a name for this ledger, such as example.com/oubliette",
                )),
                None => Ok(()),
            };
        }
        SignedCheckpoint::body(&self.origin, 0, Default::default()).map(drop).map_err(|_| {
            let origin = redaction::text(&self.origin);
            Invalid::new("ledger.origin", format!("\"{origin}\" has a space, a plus or a line break: take a name such as example.com/oubliette"))
        })
    }
}

fn is_key(key: &str) -> bool {
    !key.contains(char::is_whitespace) && format!("log {key}\nquorum none\n").parse::<Policy>().is_ok()
}
