//! The key that signs heads of the ledger, as the configuration names it.

use oubliette_ledger::{
    CheckpointError, Hash, LocalSigner, Policy, PolicyError, PublicKey, SignedCheckpoint, SignerError,
};

use super::key_file::{self, KeyFileError};
use crate::{
    config::{LedgerConfig, SignerConfig, SignerKind},
    keys::aws_kms::{AwsKmsError, AwsKmsSigner, AwsKmsSignerError},
};

/// Who signs heads of the ledger.
#[derive(Debug)]
pub enum Signer {
    /// A key that this process has.
    Local(LocalSigner),
    /// A key in AWS KMS.
    AwsKms {
        /// Its public half.
        public: PublicKey,
        /// Who asks KMS.
        signer: AwsKmsSigner,
    },
}

/// There is nobody who signs.
#[derive(Debug, thiserror::Error)]
pub enum OpenSignerError {
    /// None is configured.
    #[error(
        "this ledger has no key that signs: set ledger.origin, a name such as example.com/oubliette, and [ledger.signer] with kind = \"local\" and a \
         file; see docs/erasure.md#a-receipt-for-strangers"
    )]
    NotConfigured,
    /// The key is in a file that cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The key is in KMS, and nobody has said what its public half is.
    #[error("ledger.signer.public_key is missing: `oubliette-admin ledger policy` asks KMS for it")]
    NoPublicKey,
    /// The public key is none.
    #[error("ledger.signer.public_key cannot be used")]
    PublicKey(#[source] SignerError),
    /// KMS cannot be asked.
    #[error("ledger.signer cannot be used")]
    AwsKms(#[from] AwsKmsSignerError),
}

/// A head was not signed.
#[derive(Debug, thiserror::Error)]
pub enum NotSigned {
    /// What was signed is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// KMS failed.
    #[error(transparent)]
    AwsKms(#[from] AwsKmsSignerError),
}

impl Signer {
    /// The public key, as policies have it.
    #[must_use]
    pub fn public(&self) -> &str {
        match self {
            Self::Local(signer) => signer.public(),
            Self::AwsKms { public, .. } => public.text(),
        }
    }

    /// Signs the root over the first entries of the ledger, so many.
    ///
    /// # Errors
    ///
    /// [`NotSigned`].
    pub async fn sign(&self, size: u64, root: Hash) -> Result<SignedCheckpoint, NotSigned> {
        match self {
            Self::Local(signer) => Ok(signer.sign(size, root)?),
            Self::AwsKms { public, signer } => {
                let body = SignedCheckpoint::body(public.origin(), size, root)?;
                Ok(public.signed(&body, signer.sign(&body).await?)?)
            }
        }
    }
}

/// Opens the key. KMS is not called.
///
/// # Errors
///
/// [`OpenSignerError`].
pub async fn open_signer(config: &LedgerConfig) -> Result<Signer, OpenSignerError> {
    let signer = configured(config)?;
    match signer.kind {
        SignerKind::Local => Ok(Signer::Local(key_file::open(file_of(signer)?, &config.origin)?)),
        SignerKind::AwsKms => {
            let public = signer.public_key.as_deref().ok_or(OpenSignerError::NoPublicKey)?;
            let public = PublicKey::parse(public).map_err(OpenSignerError::PublicKey)?;
            Ok(Signer::AwsKms { public, signer: connect(signer).await? })
        }
    }
}

/// Opens the key; makes it first, if it is not there and the configuration allows that.
///
/// # Errors
///
/// [`OpenSignerError`].
pub async fn open_or_create_signer(config: &LedgerConfig) -> Result<Signer, OpenSignerError> {
    if configured(config)?.create_if_missing {
        create_signer(config)?;
    }
    open_signer(config).await
}

/// Makes the key, if it is to be in a file and is not there.
///
/// # Errors
///
/// [`OpenSignerError`].
pub fn create_signer(config: &LedgerConfig) -> Result<(), OpenSignerError> {
    let signer = configured(config)?;
    match signer.kind {
        SignerKind::Local => Ok(key_file::create(file_of(signer)?, &config.origin)?),
        SignerKind::AwsKms => Ok(()),
    }
}

/// The public half of the key: as it is configured, or as it is where the key is.
///
/// # Errors
///
/// [`OpenSignerError`].
pub async fn public_key(config: &LedgerConfig) -> Result<String, OpenSignerError> {
    match open_signer(config).await {
        Err(OpenSignerError::NoPublicKey) => {
            let key = connect(configured(config)?).await?.public_key().await?;
            let public = PublicKey::new(&config.origin, &key).map_err(OpenSignerError::PublicKey)?;
            Ok(public.text().to_owned())
        }
        opened => Ok(opened?.public().to_owned()),
    }
}

/// Which keys are trusted: the one that signs, if it is known here, and those that have signed before.
///
/// # Errors
///
/// [`PolicyError`], if one of them is none, or is there twice.
pub fn policy(config: &LedgerConfig, public: Option<&str>) -> Result<(String, Policy), PolicyError> {
    let keys = config.former_keys.iter().map(String::as_str).chain(public);
    let text = keys.map(|key| format!("log {key}\n")).collect::<String>() + "quorum none\n";
    let is_empty = public.is_none() && config.former_keys.is_empty();
    let policy = if is_empty { Policy::default() } else { text.parse()? };
    Ok((text, policy))
}

fn configured(config: &LedgerConfig) -> Result<&SignerConfig, OpenSignerError> {
    config.signer.as_ref().ok_or(OpenSignerError::NotConfigured)
}

fn file_of(config: &SignerConfig) -> Result<&std::path::Path, OpenSignerError> {
    config.file.as_deref().ok_or(OpenSignerError::NotConfigured)
}

async fn connect(config: &SignerConfig) -> Result<AwsKmsSigner, OpenSignerError> {
    let connected = AwsKmsSigner::connect("ledger.signer", &config.kms()).await;
    connected.map_err(|error: AwsKmsError| AwsKmsSignerError::from(error).into())
}
