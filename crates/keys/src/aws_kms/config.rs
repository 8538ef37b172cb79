use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};

use oubliette_platform::ServiceUrl;

use crate::loopback::is_loopback;

/// Names in the encryption context that are Oubliette's own.
const OWN_NAMES: [&str; 2] = ["subject", "version"];

/// A key backend on AWS KMS, or on LocalStack.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AwsKmsConfig {
    /// The wrapping key: a key id, an alias (`alias/oubliette`), or an ARN of either.
    pub key_id: String,
    /// The region. Without, what AWS's own chain says: `AWS_REGION`, the profile, the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A profile of `~/.aws/config`. Without, what AWS's own chain says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Where KMS answers, if not at AWS's own address: LocalStack, a VPC endpoint.
    #[serde(default, skip_serializing)]
    pub endpoint_url: Option<ServiceUrl>,
    /// Where the credentials come from.
    #[serde(default)]
    pub credentials: AwsCredentials,
    /// Pairs added to the encryption context of every call. No personal data: CloudTrail logs them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, String>,
    /// Longest wait for a connection.
    #[serde(default = "one_second", with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Longest wait for the answer to one attempt.
    #[serde(default = "two_seconds", with = "humantime_serde")]
    pub attempt_timeout: Duration,
    /// Most attempts of one call, the first included.
    #[serde(default = "three")]
    pub max_attempts: NonZeroU32,
}

/// Where AWS credentials come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AwsCredentials {
    /// AWS's own chain: environment, profile, web identity, container, instance.
    #[default]
    Default,
    /// The fixed `test` / `test` that LocalStack takes for its account 000000000000.
    Test,
}

impl AwsKmsConfig {
    /// What no single value can be checked for. `plain_http` permits an unencrypted endpoint anywhere.
    ///
    /// # Errors
    ///
    /// [`AwsKmsConfigError`] says which setting, and what to do.
    pub fn check(&self, plain_http: bool) -> Result<(), AwsKmsConfigError> {
        if let Some(name) = self.context.keys().find(|name| OWN_NAMES.contains(&name.as_str())) {
            return Err(AwsKmsConfigError::OwnName(name.clone()));
        }
        match &self.endpoint_url {
            Some(url)
                if url.expose().scheme() != "https"
                    && !(plain_http || url.expose().host().is_some_and(|host| is_loopback(&host))) =>
            {
                Err(AwsKmsConfigError::PlainHttp(url.clone()))
            }
            _ => Ok(()),
        }
    }
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

fn two_seconds() -> Duration {
    Duration::from_secs(2)
}

fn three() -> NonZeroU32 {
    const { NonZeroU32::new(3).unwrap() }
}

/// Why an `aws-kms` backend is not configured as it should be. The end of a sentence that begins with the
/// backend's name.
#[derive(Debug, thiserror::Error)]
pub enum AwsKmsConfigError {
    /// The name of a static pair is taken.
    #[error("context.{0}: Oubliette puts `{0}` into the encryption context by itself; use another name")]
    OwnName(String),
    /// Data keys would cross the network in the clear.
    #[error(
        "endpoint_url = {0}: data keys would cross the network in the clear; use https, a loopback address, or the profile `localstack`"
    )]
    PlainHttp(ServiceUrl),
}
