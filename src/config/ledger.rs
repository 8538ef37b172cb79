use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use oubliette_ledger::{PublicKey, SignedCheckpoint};
use serde::{Deserialize, Serialize};

use super::{
    AwsCredentials, AwsKmsConfig, ServiceUrl,
    keys_section::LOCALSTACK_PROFILE,
    section::{Context, Invalid, Section},
};
use crate::{loopback::is_loopback, redaction};

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
    /// The file with the key. With `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Whether a server that finds no file makes a key. With `local`.
    #[serde(default)]
    pub create_if_missing: bool,
    /// The key in KMS: a key id, an alias, or an ARN. With `aws-kms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Its public half, `NAME+ID+KEY`, as `oubliette-admin ledger policy` prints it. With `aws-kms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// The region. Without, what AWS's own chain says. With `aws-kms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A profile of `~/.aws/config`. Without, what AWS's own chain says. With `aws-kms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Where KMS answers, if not at AWS's own address. With `aws-kms`.
    #[serde(default, skip_serializing)]
    pub endpoint_url: Option<ServiceUrl>,
    /// Where the credentials come from. With `aws-kms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<AwsCredentials>,
}

/// Where a key is that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignerKind {
    /// In a file of this machine.
    Local,
    /// In AWS KMS.
    AwsKms,
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
    fn validate(&self, context: &Context<'_>) -> Result<(), Invalid> {
        if self.poll_interval < Duration::from_millis(10) {
            return Err(Invalid::new("ledger.poll_interval", "must be at least 10ms"));
        }
        if self.unreachable_for <= self.poll_interval {
            let problem = "must be longer than ledger.poll_interval, such as 1h";
            return Err(Invalid::new("ledger.unreachable_for", problem).beside("ledger.poll_interval"));
        }
        let endpoints = self.sinks.iter().map(|(name, sink)| (format!("sinks.{name}"), &sink.endpoint_url));
        let of_signer = self.signer.iter().map(|signer| ("signer".to_owned(), &signer.endpoint_url));
        for (key, endpoint) in endpoints.chain(of_signer) {
            let url = endpoint.as_ref().map(ServiceUrl::expose);
            let is_private = url.is_none_or(|url| {
                url.scheme() == "https" || url.host().is_some_and(|host| is_loopback(&host))
            });
            if !is_private && context.profile != LOCALSTACK_PROFILE {
                return Err(Invalid::new(
                    format!("ledger.{key}.endpoint_url"),
                    "would carry ids across the network in the clear; use https, a loopback address, or the profile `localstack`",
                ));
            }
        }
        if let Some(place) = self.former_keys.iter().position(|key| PublicKey::parse(key).is_err()) {
            let problem =
                "is no public key of a log: NAME+ID+KEY, as `oubliette-admin ledger policy` printed it";
            return Err(Invalid::new(
                "ledger.former_keys",
                format!("has a line, number {}, that {problem}", place + 1),
            ));
        }
        if let Some(signer) = &self.signer {
            signer.validate(&self.origin)?;
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

impl SignerConfig {
    /// Each kind has its own keys, and no other's.
    fn validate(&self, origin: &str) -> Result<(), Invalid> {
        let Self {
            kind,
            file,
            create_if_missing,
            key_id,
            public_key,
            region,
            profile,
            endpoint_url,
            credentials,
        } = self;
        let set = [
            ("file", SignerKind::Local, file.is_some()),
            ("create_if_missing", SignerKind::Local, *create_if_missing),
            ("key_id", SignerKind::AwsKms, key_id.is_some()),
            ("public_key", SignerKind::AwsKms, public_key.is_some()),
            ("region", SignerKind::AwsKms, region.is_some()),
            ("profile", SignerKind::AwsKms, profile.is_some()),
            ("endpoint_url", SignerKind::AwsKms, endpoint_url.is_some()),
            ("credentials", SignerKind::AwsKms, credentials.is_some()),
        ];
        if let Some((key, ..)) = set.iter().find(|(_, of, is_set)| *is_set && of != kind) {
            let problem = "is not for this kind of signer; leave it out";
            return Err(Invalid::new(format!("ledger.signer.{key}"), problem).beside("ledger.signer.kind"));
        }
        match kind {
            SignerKind::Local if file.is_none() => {
                return Err(Invalid::new("ledger.signer.file", "is missing: the file with the key"));
            }
            SignerKind::AwsKms if key_id.is_none() => {
                return Err(Invalid::new("ledger.signer.key_id", "is missing: the key in KMS that signs"));
            }
            _ => {}
        }
        match public_key.as_deref().map(PublicKey::parse) {
            Some(Err(_)) => Err(Invalid::new(
                "ledger.signer.public_key",
                "is no public key of a log: NAME+ID+KEY, as `oubliette-admin ledger policy` prints it",
            )),
            Some(Ok(key)) if key.origin() != origin => Err(Invalid::new(
                "ledger.signer.public_key",
                format!(
                    "is the key of `{}`, and ledger.origin is `{}`",
                    redaction::text(key.origin()),
                    redaction::text(origin)
                ),
            )
            .beside("ledger.origin")),
            _ => Ok(()),
        }
    }

    /// How KMS is asked.
    pub(crate) fn kms(&self) -> AwsKmsConfig {
        AwsKmsConfig {
            region: self.region.clone(),
            profile: self.profile.clone(),
            endpoint_url: self.endpoint_url.clone(),
            credentials: self.credentials.unwrap_or_default(),
            ..AwsKmsConfig::new(self.key_id.clone().unwrap_or_default())
        }
    }
}
