use std::{os::unix::fs::DirBuilderExt, sync::Arc, time::Duration};

use object_store::{
    ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig,
    aws::{AmazonS3Builder, Checksum},
    azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
    local::LocalFileSystem,
    path::Path,
    prefix::PrefixStore,
};

use super::store::Store;
use crate::config::{SinkConfig, SinkUrl};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Opens a store. Makes the folder, if it is one and is not there.
pub(super) fn open(config: &SinkConfig) -> Result<Store, object_store::Error> {
    let url = match &config.url {
        SinkUrl::Folder(folder) => {
            // Entries hold ids: nobody else's business.
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
                let error =
                    std::io::Error::new(error.kind(), format!("the folder {}: {error}", folder.display()));
                object_store::Error::Generic { store: "file", source: Box::new(error) }
            })?;
            return Ok(Store::new(Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true))));
        }
        SinkUrl::Service(url) => url.expose(),
    };
    let (scheme, prefix) = ObjectStoreScheme::parse(url)
        .map_err(|error| object_store::Error::Generic { store: "sink", source: Box::new(error) })?;
    let endpoint = config.endpoint_url.as_ref().map(|url| url.expose().as_str().trim_end_matches('/'));
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http:"));
    let client =
        ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(ANSWER).with_allow_http(is_plain);
    let retry = RetryConfig { max_retries: 1, retry_timeout: ANSWER, ..RetryConfig::default() };
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = GoogleCloudStorageBuilder::from_env().with_url(url.as_str());
            Arc::new(builder.with_client_options(client).with_retry(retry).build()?)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str());
            Arc::new(builder.with_client_options(client).with_retry(retry).build()?)
        }
        _ => {
            // A bucket with Object Lock wants checksums.
            let mut builder =
                AmazonS3Builder::from_env().with_url(url.as_str()).with_checksum_algorithm(Checksum::SHA256);
            if let Some(region) = &config.region {
                builder = builder.with_region(region);
            }
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint);
            }
            Arc::new(builder.with_client_options(client).with_retry(retry).build()?)
        }
    };
    Ok(Store::new(prefixed(store, prefix)))
}

fn prefixed(store: Arc<dyn ObjectStore>, prefix: Path) -> Arc<dyn ObjectStore> {
    if prefix.as_ref().is_empty() { store } else { Arc::new(PrefixStore::new(store, prefix)) }
}
