use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use oubliette_platform::ServiceUrl;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{AwsKmsBackend, arn::KeyArn};
use crate::{
    Allowances, BackendSettings, KeyBackend, OpenBackendError, SettingError, SharedObserver,
    loopback::is_loopback, redaction,
};

/// Names in the encryption context that are Oubliette's own.
const OWN_NAMES: [&str; 2] = ["subject", "version"];

/// A key backend on AWS KMS, or on LocalStack.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AwsKmsConfig {
    /// The wrapping key: a key id, an alias (`alias/oubliette`), or an ARN of either.
    pub key_id: String,
    /// The key that makes MACs, for attributes that are searched with `second = "backend"`: of the spec `HMAC_256`. A key id, or an ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_key_id: Option<String>,
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

impl AwsKmsConfig {
    /// This key, and the defaults.
    #[must_use]
    pub fn new(key_id: impl Into<String>) -> Self {
        Self {
            key_id: key_id.into(),
            mac_key_id: None,
            region: None,
            profile: None,
            endpoint_url: None,
            credentials: AwsCredentials::Default,
            context: BTreeMap::new(),
            connect_timeout: one_second(),
            attempt_timeout: two_seconds(),
            max_attempts: three(),
        }
    }
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

#[async_trait]
impl BackendSettings for AwsKmsConfig {
    fn check(&self, allowances: Allowances) -> Result<(), SettingError> {
        if let Some(name) = self.context.keys().find(|name| OWN_NAMES.contains(&name.as_str())) {
            let problem =
                format!("Oubliette puts `{name}` into the encryption context by itself; use another name");
            return Err(SettingError::of(format!("context.{name}"), problem));
        }
        if let Some(key) = self.mac_key_id.as_deref().filter(|key| mac_key_of(key).is_none()) {
            let problem = format!(
                "`{}` is not the id or the ARN of a key; an alias may come to name another key, by which nobody would be found",
                redaction::text(key)
            );
            return Err(SettingError::of("mac_key_id", problem));
        }
        match &self.endpoint_url {
            Some(url) if !(allowances.plain_http || is_private(url.expose())) => Err(SettingError::of(
                "endpoint_url",
                format!(
                    "{url}: data keys would cross the network in the clear; use https, a loopback address, or the \
                     profile `localstack`"
                ),
            )),
            _ => Ok(()),
        }
    }

    fn mac_key(&self) -> Option<&str> {
        self.mac_key_id.as_deref().and_then(mac_key_of)
    }

    async fn open(
        &self,
        name: &str,
        observer: &SharedObserver,
    ) -> Result<Arc<dyn KeyBackend>, OpenBackendError> {
        let opened = AwsKmsBackend::new(name, self, observer.clone()).await;
        Ok(Arc::new(opened.map_err(OpenBackendError::backend)?))
    }
}

/// The id of a key, which is the same in each Region that a multi-Region key is in.
pub(super) fn mac_key_of(setting: &str) -> Option<&str> {
    let id = match setting.split_once(":key/") {
        Some((_, id)) => KeyArn::parse(setting).map(|_| id)?,
        None => setting,
    };
    let is_id = !id.is_empty() && id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    is_id.then_some(id)
}

/// Whether nobody can listen on the way there.
fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || url.host().is_some_and(|host| is_loopback(&host))
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
