//! Wrapping keys in AWS Key Management Service, or in LocalStack: they never leave it.
//!
//! | asked for | KMS call |
//! | --- | --- |
//! | generate | `GenerateDataKey`, `AES_256` |
//! | unwrap | `Decrypt`, under the ARN that is stored with the data key |
//! | rewrap | `ReEncrypt`, so that the data key never leaves KMS |
//! | wrap | `Encrypt` |
//! | current | `DescribeKey` |
//! | mac | `GenerateMac`, `HMAC_SHA_256`, under `mac_key_id` |
//! | sign | `Sign`, `ED25519_SHA_512`, by [`AwsKmsSigner`]: heads of a log, not data keys |
//! | check | `DescribeKey`, then `GenerateDataKey` with `DryRun` |
//!
//! The key context is KMS's encryption context (AWS KMS Developer Guide, "Encryption context"), together
//! with the static pairs of the configuration.

mod arn;
mod attempts;
mod client;
mod config;
mod errors;
mod kind;
mod signer;

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
};

use arn::KeyArn;
use async_trait::async_trait;
use attempts::CountAttempts;
use aws_sdk_kms::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        decrypt::DecryptError, describe_key::DescribeKeyError, encrypt::EncryptError,
        generate_data_key::GenerateDataKeyError, generate_mac::GenerateMacError, re_encrypt::ReEncryptError,
    },
    primitives::Blob,
    types::{DataKeySpec, KeyMetadata, KeySpec, KeyState, KeyUsageType, MacAlgorithmSpec},
};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

pub use client::AwsKmsError;
pub use config::{AwsCredentials, AwsKmsConfig};
pub(crate) use kind::KIND;
pub use signer::{AwsKmsSigner, AwsKmsSignerError};

use super::{
    BackendError, BackendKind, ErrorClass, GeneratedKey, KekId, KeyBackend, KeyContext, Ownership, Realm,
    SharedObserver, WrappedKey,
};
use crate::envelope::{KeyMaterial, MAC_LENGTH};

/// What tells one KMS from another, and what it is asked with.
fn realm(config: &AwsKmsConfig) -> Realm {
    let endpoint = config.endpoint_url.as_ref().map(|url| url.place().to_string());
    let credentials = match config.credentials {
        AwsCredentials::Default => "default",
        AwsCredentials::Test => "test",
    };
    let context = config.context.iter().flat_map(|(name, value)| [Some(&**name), Some(&**value)]);
    let service = [endpoint.as_deref(), config.profile.as_deref(), Some(credentials)];
    Realm::of(KIND.name(), service.into_iter().chain(context))
}

/// The key backend over KMS.
#[derive(Debug)]
pub struct AwsKmsBackend {
    name: String,
    client: Client,
    region: String,
    /// As configured: a key id, an alias, or an ARN.
    key_id: String,
    /// As configured: a key id, or an ARN.
    mac_key_id: Option<String>,
    static_context: BTreeMap<String, String>,
    realm: Realm,
    /// The wrapping key that `key_id` names, once KMS has said so.
    key: OnceCell<KeyArn>,
    observer: SharedObserver,
}

impl AwsKmsBackend {
    /// A backend for this configuration. Reads AWS's own configuration; makes no call to KMS.
    ///
    /// # Errors
    ///
    /// [`AwsKmsError`] if no region is configured anywhere.
    pub async fn new(
        name: impl Into<String>,
        config: &AwsKmsConfig,
        observer: impl Into<SharedObserver>,
    ) -> Result<Self, AwsKmsError> {
        let name = name.into();
        let (client, region) = client::connect(&name, config).await?;
        let key = KeyArn::parse(&config.key_id).filter(KeyArn::is_key);
        Ok(Self {
            name,
            client,
            region,
            key_id: config.key_id.clone(),
            mac_key_id: config.mac_key_id.clone(),
            static_context: config.context.clone(),
            realm: realm(config),
            key: OnceCell::new_with(key),
            observer: observer.into(),
        })
    }

    /// The ARN of the wrapping key that the configuration names: asked for once.
    async fn key(&self) -> Result<&KeyArn, BackendError> {
        self.key.get_or_try_init(async || self.describe().await).await
    }

    /// Asks KMS about the configured key, and refuses one that cannot wrap data keys.
    async fn describe(&self) -> Result<KeyArn, BackendError> {
        let call = self.client.describe_key().key_id(&self.key_id).customize();
        let answer = call.interceptor(self.count_attempts::<DescribeKeyError>()).send().await;
        let metadata = answer.map_err(|error| self.failed(error))?.key_metadata;
        let metadata = metadata.ok_or_else(|| self.bad_answer("DescribeKey without metadata"))?;
        self.require_usable(&metadata)?;
        let arn = metadata.arn().and_then(KeyArn::parse).filter(KeyArn::is_key);
        arn.ok_or_else(|| self.bad_answer("DescribeKey without an ARN"))
    }

    fn require_usable(&self, metadata: &KeyMetadata) -> Result<(), BackendError> {
        let wraps = metadata.key_spec() == Some(&KeySpec::SymmetricDefault)
            && metadata.key_usage() == Some(&KeyUsageType::EncryptDecrypt);
        if !wraps {
            return Err(
                self.error(ErrorClass::KeyUnsuitable, format!("{} does not wrap data keys", self.key_id))
            );
        }
        match metadata.key_state() {
            Some(KeyState::Enabled) => Ok(()),
            Some(state) => {
                Err(self.error(ErrorClass::KeyDisabled, format!("{} is in the state {state}", self.key_id)))
            }
            None => Err(self.bad_answer("DescribeKey without a key state")),
        }
    }

    /// The id under which this region's KMS knows a wrapping key that this backend may use.
    async fn usable(&self, kek_id: &KekId) -> Result<String, BackendError> {
        let own = self.key().await?;
        let arn = KeyArn::parse(kek_id.as_str()).and_then(|arn| arn.reachable_from(own));
        arn.map(String::from).ok_or_else(|| {
            self.error(
                ErrorClass::KeyNotFound,
                format!("{kek_id} is not in the account and region of {}", own.as_str()),
            )
        })
    }

    fn context(&self, context: &KeyContext) -> HashMap<String, String> {
        let own = context.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.static_context.clone().into_iter().chain(own).collect()
    }

    /// A data key out of an answer; the answer's own copy is wiped.
    fn material(&self, plaintext: Option<Blob>) -> Result<KeyMaterial, BackendError> {
        let bytes = plaintext.map(|blob| Zeroizing::new(blob.into_inner()));
        let material = bytes.and_then(|bytes| KeyMaterial::from_slice(&bytes));
        material.ok_or_else(|| self.bad_answer("a data key that does not have 256 bits"))
    }

    /// A wrapped key out of an answer.
    fn wrapped(&self, kek_id: Option<String>, bytes: Option<Blob>) -> Result<WrappedKey, BackendError> {
        let kek_id = kek_id.filter(|id| KeyArn::parse(id).is_some_and(|arn| arn.is_key()));
        let bytes = bytes.map(Blob::into_inner).filter(|bytes| !bytes.is_empty());
        match (kek_id, bytes) {
            (Some(kek_id), Some(bytes)) => Ok(WrappedKey { kek_id: KekId::new(kek_id), bytes }),
            _ => Err(self.bad_answer("no wrapped key, or no ARN of the wrapping key")),
        }
    }

    /// A wrapped key out of an answer, under the wrapping key that was asked for.
    fn wrapped_under(
        &self,
        to: &str,
        kek_id: Option<String>,
        bytes: Option<Blob>,
    ) -> Result<WrappedKey, BackendError> {
        let wrapped = self.wrapped(kek_id, bytes)?;
        if wrapped.kek_id.as_str() != to {
            return Err(self.bad_answer("the data key was wrapped under another wrapping key than asked for"));
        }
        Ok(wrapped)
    }

    fn count_attempts<E>(&self) -> CountAttempts<E> {
        CountAttempts::new(&self.name, &self.observer)
    }

    fn failed<E>(&self, error: SdkError<E, HttpResponse>) -> BackendError
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        errors::backend_error(&self.name, error)
    }

    fn bad_answer(&self, what: &'static str) -> BackendError {
        self.error(ErrorClass::BadAnswer, what.to_owned())
    }

    fn error(&self, class: ErrorClass, what: String) -> BackendError {
        BackendError::new(&self.name, class, what)
    }
}

#[async_trait]
impl KeyBackend for AwsKmsBackend {
    fn name(&self) -> &str {
        &self.name
    }

    /// Keys of the same account and region count as this backend's, since an alias may have pointed to them
    /// before; so do replicas of its multi-Region keys. IAM says which of them it really may use.
    fn owns(&self, kek_id: &KekId) -> Ownership {
        let Some(arn) = KeyArn::parse(kek_id.as_str()) else { return Ownership::No };
        match self.key.get() {
            Some(own) if *own == arn => Ownership::Certain,
            Some(own) if arn.reachable_from(own).is_some() => Ownership::Likely,
            // The account is not known before KMS has answered once; `unwrap` then looks again.
            None if arn.may_be_in(&self.region) => Ownership::Likely,
            _ => Ownership::No,
        }
    }

    fn realm(&self) -> Realm {
        self.realm
    }

    async fn current(&self, _: &KeyContext) -> Result<KekId, BackendError> {
        let arn = self.describe().await?;
        // Known already, if this is not the first answer.
        let _ = self.key.set(arn.clone());
        Ok(KekId::new(String::from(arn)))
    }

    async fn generate(&self, context: &KeyContext) -> Result<GeneratedKey, BackendError> {
        let call = self
            .client
            .generate_data_key()
            .key_id(&self.key_id)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(self.context(context)))
            .customize();
        let answer = call.interceptor(self.count_attempts::<GenerateDataKeyError>()).send().await;
        let answer = answer.map_err(|error| self.failed(error))?;
        let material = self.material(answer.plaintext)?;
        let wrapped = self.wrapped(answer.key_id, answer.ciphertext_blob)?;
        Ok(GeneratedKey { material, wrapped })
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<KeyMaterial, BackendError> {
        let kek_id = self.usable(&wrapped.kek_id).await?;
        let call = self
            .client
            .decrypt()
            .key_id(&kek_id)
            .ciphertext_blob(Blob::new(wrapped.bytes.clone()))
            .set_encryption_context(Some(self.context(context)))
            .customize();
        let answer = call.interceptor(self.count_attempts::<DecryptError>()).send().await;
        let answer = answer.map_err(|error| self.failed(error))?;
        // As AWS asks of every caller of Decrypt: the key that was used is the key that was meant.
        if answer.key_id != Some(kek_id) {
            return Err(self.bad_answer("Decrypt used another wrapping key than it was asked to"));
        }
        self.material(answer.plaintext)
    }

    async fn wrap(
        &self,
        material: &KeyMaterial,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        let to = self.usable(to).await?;
        let call = self
            .client
            .encrypt()
            .key_id(&to)
            .plaintext(Blob::new(material.expose()))
            .set_encryption_context(Some(self.context(context)))
            .customize();
        let answer = call.interceptor(self.count_attempts::<EncryptError>()).send().await;
        let answer = answer.map_err(|error| self.failed(error))?;
        self.wrapped_under(&to, answer.key_id, answer.ciphertext_blob)
    }

    async fn rewrap(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        let kek_id = self.usable(&wrapped.kek_id).await?;
        let to = self.usable(to).await?;
        let context = self.context(context);
        let call = self
            .client
            .re_encrypt()
            .source_key_id(kek_id)
            .ciphertext_blob(Blob::new(wrapped.bytes.clone()))
            .set_source_encryption_context(Some(context.clone()))
            .destination_key_id(&to)
            .set_destination_encryption_context(Some(context))
            .customize();
        let answer = call.interceptor(self.count_attempts::<ReEncryptError>()).send().await;
        let answer = answer.map_err(|error| self.failed(error))?;
        self.wrapped_under(&to, answer.key_id, answer.ciphertext_blob)
    }

    fn mac_key(&self) -> Option<&str> {
        self.mac_key_id.as_deref().and_then(config::mac_key_of)
    }

    /// AWS KMS API Reference, `GenerateMac`. CloudTrail logs the call, and not the message.
    async fn mac(&self, message: &[u8]) -> Result<[u8; MAC_LENGTH], BackendError> {
        let key = self.mac_key_id.as_deref();
        let key = key.ok_or_else(|| self.error(ErrorClass::KeyNotFound, "no mac_key_id".to_owned()))?;
        let call = self
            .client
            .generate_mac()
            .key_id(key)
            .mac_algorithm(MacAlgorithmSpec::HmacSha256)
            .message(Blob::new(message))
            .customize();
        let answer = call.interceptor(self.count_attempts::<GenerateMacError>()).send().await;
        let answer = answer.map_err(|error| self.failed(error))?;
        if answer.key_id.as_deref().and_then(config::mac_key_of) != self.mac_key() {
            return Err(self.bad_answer("GenerateMac used another key than it was asked to"));
        }
        let mac = answer.mac.map(Blob::into_inner).and_then(|mac| mac.try_into().ok());
        mac.ok_or_else(|| self.bad_answer("a MAC that does not have 32 bytes"))
    }

    async fn check(&self) -> Result<KekId, BackendError> {
        let context = KeyContext::of_nobody();
        let current = self.current(&context).await?;
        let dry_run = self
            .client
            .generate_data_key()
            .key_id(&self.key_id)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(self.context(&context)))
            .dry_run(true)
            .customize();
        match dry_run.interceptor(self.count_attempts::<GenerateDataKeyError>()).send().await {
            // LocalStack knows no dry runs, and makes a key that is dropped here.
            Ok(_) => Ok(current),
            // How KMS says that the call would have succeeded.
            Err(SdkError::ServiceError(error))
                if matches!(error.err(), GenerateDataKeyError::DryRunOperationException(_)) =>
            {
                Ok(current)
            }
            Err(error) => Err(self.failed(error)),
        }
    }
}
