//! The key that signs heads of the ledger, as the configuration names it.

use std::{
    fs::OpenOptions,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use oubliette_ledger::{LocalSigner, Policy, PolicyError, SignerError};

use crate::{
    config::{LedgerConfig, SignerConfig, SignerKind},
    secret_file::{self, TooOpen, Unreadable},
};

/// Longest key file, in bytes: more than any.
const MAX_LENGTH: u64 = 4096;

/// There is nobody who signs.
#[derive(Debug, thiserror::Error)]
pub enum OpenSignerError {
    /// None is configured.
    #[error(
        "this ledger has no key that signs: set ledger.origin, a name such as example.com/oubliette, and [ledger.signer] with kind = \"local\" and a \
         file; see docs/erasure.md#a-receipt-for-strangers"
    )]
    NotConfigured,
    /// The file is not there.
    #[error("the key file `{}` is not there: `oubliette-admin ledger policy --create` makes it", .0.display())]
    Missing(PathBuf),
    /// The file can be read by others.
    #[error("the key file `{}` {problem}", .file.display())]
    TooOpen {
        /// The file.
        file: PathBuf,
        /// Who can read it.
        problem: TooOpen,
    },
    /// The file cannot be read.
    #[error("the key file `{}` cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] Unreadable),
    /// The file cannot be read, or made.
    #[error("the key file `{}` cannot be used", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// It holds no key.
    #[error("the key file `{}` {problem}", .file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: SignerError,
    },
    /// It holds the key of another ledger.
    #[error("the key file `{}` is the key of `{found}`, and ledger.origin is `{origin}`", .file.display())]
    Another {
        /// The file.
        file: PathBuf,
        /// Of which ledger it is.
        found: String,
        /// Which ledger this is.
        origin: String,
    },
    /// No key can be made.
    #[error("no key of the ledger can be made")]
    NotMade(#[source] SignerError),
}

/// Opens the key.
///
/// # Errors
///
/// [`OpenSignerError`].
pub fn open_signer(config: &LedgerConfig) -> Result<LocalSigner, OpenSignerError> {
    let file = file_of(config)?;
    let (opened, too_open) = match secret_file::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenSignerError::Missing(file.to_owned()));
        }
        opened => opened.map_err(|error| OpenSignerError::Unreadable(file.to_owned(), error))?,
    };
    if let Some(problem) = too_open {
        return Err(OpenSignerError::TooOpen { file: file.to_owned(), problem });
    }
    let mut text = String::new();
    let read = opened.take(MAX_LENGTH).read_to_string(&mut text);
    read.map_err(|error| OpenSignerError::Io(file.to_owned(), error))?;
    let signer = LocalSigner::parse(&text)
        .map_err(|problem| OpenSignerError::NoKey { file: file.to_owned(), problem })?;
    if signer.origin() != config.origin {
        let (found, origin) = (signer.origin().to_owned(), config.origin.clone());
        return Err(OpenSignerError::Another { file: file.to_owned(), found, origin });
    }
    Ok(signer)
}

/// Opens the key; makes it first, if it is not there and the configuration allows that.
///
/// # Errors
///
/// [`OpenSignerError`].
pub fn open_or_create_signer(config: &LedgerConfig) -> Result<LocalSigner, OpenSignerError> {
    if config.signer.as_ref().is_some_and(|signer| signer.create_if_missing) {
        create_signer(config)?;
    }
    open_signer(config)
}

/// Makes the key, if it is not there.
///
/// # Errors
///
/// [`OpenSignerError`].
pub fn create_signer(config: &LedgerConfig) -> Result<(), OpenSignerError> {
    let file = file_of(config)?;
    if file.exists() {
        return Ok(());
    }
    let key = LocalSigner::generate(&config.origin).map_err(OpenSignerError::NotMade)?;
    match write_new(file, &key) {
        // Another server was first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        written => written.map_err(|error| OpenSignerError::Io(file.to_owned(), error)),
    }
}

/// Which keys are trusted: the one that signs, if it is known here, and those that have signed before.
///
/// # Errors
///
/// [`PolicyError`], if one of them is none, or is there twice.
pub fn policy(config: &LedgerConfig, signer: Option<&LocalSigner>) -> Result<(String, Policy), PolicyError> {
    let keys = config.former_keys.iter().map(String::as_str).chain(signer.map(LocalSigner::public));
    let text = keys.map(|key| format!("log {key}\n")).collect::<String>() + "quorum none\n";
    let is_empty = signer.is_none() && config.former_keys.is_empty();
    let policy = if is_empty { Policy::default() } else { text.parse()? };
    Ok((text, policy))
}

fn file_of(config: &LedgerConfig) -> Result<&Path, OpenSignerError> {
    match &config.signer {
        Some(SignerConfig { kind: SignerKind::Local, file, .. }) => Ok(file),
        None => Err(OpenSignerError::NotConfigured),
    }
}

/// A new file, its owner's alone. It is there whole or not at all.
fn write_new(file: &Path, key: &str) -> io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.{}", uuid::Uuid::now_v7()));
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = opened
        .write_all(key.as_bytes())
        .and_then(|()| opened.sync_all())
        .and_then(|()| std::fs::hard_link(&draft, file));
    std::fs::remove_file(&draft)?;
    written
}
