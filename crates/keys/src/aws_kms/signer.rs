use aws_sdk_kms::{
    Client,
    primitives::Blob,
    types::{MessageType, SigningAlgorithmSpec},
};

use super::{AwsKmsConfig, AwsKmsError, client::connect};

/// The public half of an Ed25519 key begins with these bytes: its algorithm (RFC 8410, section 4).
const ALGORITHM: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// An Ed25519 key in AWS KMS that signs: of the spec `ECC_NIST_EDWARDS25519`, for the usage `SIGN_VERIFY`. It never leaves KMS.
#[derive(Clone, Debug)]
pub struct AwsKmsSigner {
    client: Client,
    key_id: String,
}

/// KMS has not signed, or has not told the public key.
#[derive(Debug, thiserror::Error)]
pub enum AwsKmsSignerError {
    /// It could not be asked.
    #[error(transparent)]
    Connect(#[from] AwsKmsError),
    /// It refused, or did not answer.
    #[error("KMS has not {0}")]
    Refused(&'static str, #[source] Box<aws_sdk_kms::Error>),
    /// It is of another kind.
    #[error(
        "the key is no Ed25519 key: it must be of the spec ECC_NIST_EDWARDS25519, for the usage SIGN_VERIFY"
    )]
    NotEd25519,
}

impl AwsKmsSigner {
    /// Connects. `key_id`, `region`, `profile`, `endpoint_url`, `credentials` and the timeouts of the configuration count. Calls nothing yet.
    ///
    /// # Errors
    ///
    /// [`AwsKmsError`].
    pub async fn connect(name: &str, config: &AwsKmsConfig) -> Result<Self, AwsKmsError> {
        let (client, _) = connect(name, config).await?;
        Ok(Self { client, key_id: config.key_id.clone() })
    }

    /// The public half (`GetPublicKey`).
    ///
    /// # Errors
    ///
    /// [`AwsKmsSignerError`].
    pub async fn public_key(&self) -> Result<[u8; 32], AwsKmsSignerError> {
        let asked = self.client.get_public_key().key_id(&self.key_id).send().await;
        let answer = asked
            .map_err(|error| AwsKmsSignerError::Refused("told its public key", Box::new(error.into())))?;
        let key = answer.public_key().map(Blob::as_ref).and_then(|key| key.strip_prefix(&ALGORITHM));
        key.and_then(|key| key.try_into().ok()).ok_or(AwsKmsSignerError::NotEd25519)
    }

    /// Signs a message of 4,096 bytes at most (`Sign`, `ED25519_SHA_512`, `RAW`).
    ///
    /// # Errors
    ///
    /// [`AwsKmsSignerError`].
    pub async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, AwsKmsSignerError> {
        let asked = self
            .client
            .sign()
            .key_id(&self.key_id)
            .message(Blob::new(message))
            .message_type(MessageType::Raw)
            .signing_algorithm(SigningAlgorithmSpec::Ed25519Sha512)
            .send()
            .await;
        let answer = asked.map_err(|error| AwsKmsSignerError::Refused("signed", Box::new(error.into())))?;
        answer.signature.map(Blob::into_inner).ok_or(AwsKmsSignerError::NotEd25519)
    }
}
