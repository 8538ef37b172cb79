//! A file with the key that signs heads of the ledger.

use std::{
    fs::OpenOptions,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use oubliette_ledger::{LocalSigner, SignerError};

use crate::secret_file::{self, TooOpen, Unreadable};

/// Longest key file, in bytes: more than any.
const MAX_LENGTH: u64 = 4096;

/// A key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is not there.
    #[error("the key file `{}` is not there: `oubliette-admin ledger policy --create` makes it", .0.display())]
    Missing(PathBuf),
    /// It can be read by others.
    #[error("the key file `{}` {problem}", .file.display())]
    TooOpen {
        /// The file.
        file: PathBuf,
        /// Who can read it.
        problem: TooOpen,
    },
    /// It cannot be read.
    #[error("the key file `{}` cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] Unreadable),
    /// It cannot be read, or made.
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

/// Opens the key of a ledger.
pub(super) fn open(file: &Path, origin: &str) -> Result<LocalSigner, KeyFileError> {
    let named = || file.to_owned();
    let (opened, too_open) = match secret_file::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(KeyFileError::Missing(named())),
        opened => opened.map_err(|error| KeyFileError::Unreadable(named(), error))?,
    };
    if let Some(problem) = too_open {
        return Err(KeyFileError::TooOpen { file: named(), problem });
    }
    let mut text = String::new();
    let read = opened.take(MAX_LENGTH).read_to_string(&mut text);
    read.map_err(|error| KeyFileError::Io(named(), error))?;
    let signer =
        LocalSigner::parse(&text).map_err(|problem| KeyFileError::NoKey { file: named(), problem })?;
    if signer.origin() != origin {
        let found = signer.origin().to_owned();
        return Err(KeyFileError::Another { file: named(), found, origin: origin.to_owned() });
    }
    Ok(signer)
}

/// Makes the key of a ledger, if it is not there.
pub(super) fn create(file: &Path, origin: &str) -> Result<(), KeyFileError> {
    if file.exists() {
        return Ok(());
    }
    let key = LocalSigner::generate(origin).map_err(KeyFileError::NotMade)?;
    match write_new(file, &key) {
        Ok(()) => {
            tracing::info!(
                "the key that signs the erasure ledger is made, in `{}`: keep a copy of it where the database is not",
                file.display()
            );
            Ok(())
        }
        // Another server was first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(KeyFileError::Io(file.to_owned(), error)),
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
