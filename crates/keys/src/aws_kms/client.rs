use std::time::Duration;

use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_kms::{
    Client,
    config::{Builder, Credentials, retry::RetryPartition},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::{AwsCredentials, AwsKmsConfig};

/// The first wait before a retry; it doubles, and a random part of it is waited.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);

/// Unused connections are closed after this long, since their buffers hold what KMS answered last.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// A client for this configuration, and the region it talks to.
pub(super) async fn connect(name: &str, config: &AwsKmsConfig) -> Result<(Client, String), AwsKmsError> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(config.connect_timeout)
        .operation_attempt_timeout(config.attempt_timeout)
        .build();
    // Not the SDK's adaptive mode: docs/decisions/0016-standard-retries.md.
    let retries = RetryConfig::standard()
        .with_max_attempts(config.max_attempts.get())
        .with_initial_backoff(INITIAL_BACKOFF);
    let http = aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(retries);
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(endpoint) = &config.endpoint_url {
        // The SDK sends neither user nor query, and logs both.
        loader = loader.endpoint_url(endpoint.place());
    }
    if config.credentials == AwsCredentials::Test {
        loader = loader.credentials_provider(Credentials::new("test", "test", None, None, "LocalStack"));
    }
    let shared = loader.load().await;
    let region = shared.region().filter(|region| !region.as_ref().is_empty());
    let region = region.ok_or_else(|| AwsKmsError::NoRegion { backend: name.to_owned() })?;
    // Without a partition of its own, a backend that fails would use up the retries of the others.
    let kms = Builder::from(&shared).retry_partition(RetryPartition::new(name.to_owned())).build();
    Ok((Client::from_conf(kms), region.to_string()))
}

/// The backend cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AwsKmsError {
    /// No region is configured, neither here nor in AWS's own places.
    #[error("key backend `{backend}`: no AWS region: set keys.backends.{backend}.region, or AWS_REGION")]
    NoRegion {
        /// The backend's name.
        backend: String,
    },
}
