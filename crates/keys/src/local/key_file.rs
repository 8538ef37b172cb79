use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    envelope::{KeyMaterial, RandomnessError},
    secret_file::{self, TooOpen, Unreadable},
};

const FORMAT_VERSION: u32 = 1;
const COMMENT: &str = "\
# Oubliette's local wrapping keys. For development: whoever has this file can open every data key
# in the database, and whoever loses it loses the data. Mode 0600; never in a repository or a backup
# beside the database.

";

/// A local key file: any number of named 256-bit wrapping keys, one of them primary.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    primary: String,
    keys: BTreeMap<String, LocalKey>,
}

/// A wrapping key of a key file.
#[derive(Debug)]
pub struct LocalKey {
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The key itself.
    pub material: KeyMaterial,
}

impl LocalKey {
    fn generate() -> Result<Self, RandomnessError> {
        Ok(Self { created_at: Utc::now().trunc_subsecs(0), material: KeyMaterial::generate()? })
    }
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] if it is missing, [open to others](secret_file), or damaged.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let fail = |problem| KeyFileError { path: path.to_owned(), problem };
        let (mut file, too_open) =
            secret_file::open(path).map_err(|error| fail(KeyFileProblem::read(error)))?;
        if let Some(too_open) = too_open {
            return Err(fail(KeyFileProblem::Open(too_open)));
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(|error| fail(KeyFileProblem::read(error.into())))?;
        Self::parse(path, &text).map_err(fail)
    }

    /// Makes a key file with one fresh wrapping key, readable by its owner only. Never overwrites one:
    /// if two servers start at once, one makes it and both use it.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] if it cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyFileError> {
        let fail = |problem| KeyFileError { path: path.to_owned(), problem };
        let key = LocalKey::generate().map_err(|error| fail(KeyFileProblem::Randomness(error)))?;
        let name = fresh_name(&key);
        let file = Self { path: path.to_owned(), primary: name.clone(), keys: BTreeMap::from([(name, key)]) };
        let text = file.to_text().map_err(fail)?;
        match write_new(path, &text) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            written => written.map_err(|error| fail(KeyFileProblem::Write(error)))?,
        }
        Self::read(path)
    }

    /// Adds a fresh wrapping key, and gives its name. It wraps nothing before it is made the primary one.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] if the name cannot be one, or is taken.
    pub fn add(&mut self, name: Option<String>) -> Result<String, KeyFileError> {
        let key = LocalKey::generate().map_err(|error| self.error(KeyFileProblem::Randomness(error)))?;
        let name = name.unwrap_or_else(|| fresh_name(&key));
        if !is_name(&name) {
            return Err(self.error(KeyFileProblem::NotAName(name)));
        }
        if self.keys.contains_key(&name) {
            return Err(self.error(KeyFileProblem::Taken(name)));
        }
        self.keys.insert(name.clone(), key);
        Ok(name)
    }

    /// Makes a key the one that wraps new data keys.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] if there is no such key.
    pub fn promote(&mut self, name: &str) -> Result<(), KeyFileError> {
        self.require(name)?;
        name.clone_into(&mut self.primary);
        Ok(())
    }

    /// Takes a key out, for good.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] if there is no such key, or it is the primary one.
    pub fn remove(&mut self, name: &str) -> Result<(), KeyFileError> {
        self.require(name)?;
        if name == self.primary {
            return Err(self.error(KeyFileProblem::IsPrimary(name.to_owned())));
        }
        self.keys.remove(name);
        Ok(())
    }

    /// Puts this in the place of the file, at once or not at all.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] if it cannot be written; then the file is as it was.
    pub(super) fn write(&self) -> Result<(), KeyFileError> {
        let text = self.to_text().map_err(|problem| self.error(problem))?;
        replace(&self.path, &text).map_err(|problem| self.error(problem))
    }

    fn require(&self, name: &str) -> Result<&LocalKey, KeyFileError> {
        self.keys.get(name).ok_or_else(|| self.error(KeyFileProblem::Unknown(name.to_owned())))
    }

    fn error(&self, problem: KeyFileProblem) -> KeyFileError {
        KeyFileError { path: self.path.clone(), problem }
    }

    fn to_text(&self) -> Result<Zeroizing<String>, KeyFileProblem> {
        let stored = |(name, key): (&String, &LocalKey)| {
            (name.clone(), StoredKey { created_at: key.created_at, key: hex::encode(key.material.expose()) })
        };
        let document = Document {
            version: FORMAT_VERSION,
            primary: self.primary.clone(),
            keys: self.keys.iter().map(stored).collect(),
        };
        toml::to_string(&document).map(Zeroizing::new).map_err(|_| KeyFileProblem::Unserialisable)
    }

    /// Where it was read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the key that wraps new data keys.
    #[must_use]
    pub fn primary(&self) -> &str {
        &self.primary
    }

    /// All keys, by name.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &LocalKey)> {
        self.keys.iter().map(|(name, key)| (name.as_str(), key))
    }

    fn parse(path: &Path, text: &str) -> Result<Self, KeyFileProblem> {
        // The parser's own message quotes the line it stumbles over, which may hold a key.
        let mut document: Document = toml::from_str(text).map_err(|error| KeyFileProblem::Syntax {
            line: error.span().map(|span| text[..span.start].lines().count().max(1)),
        })?;
        if document.version != FORMAT_VERSION {
            return Err(KeyFileProblem::Version(document.version));
        }
        let mut keys = BTreeMap::new();
        for (name, stored) in std::mem::take(&mut document.keys) {
            if !is_name(&name) {
                return Err(KeyFileProblem::Name(name));
            }
            let bytes = hex::decode(&stored.key).map(Zeroizing::new);
            let Some(material) = bytes.ok().and_then(|bytes| KeyMaterial::from_slice(&bytes)) else {
                return Err(KeyFileProblem::Key(name));
            };
            keys.insert(name, LocalKey { created_at: stored.created_at, material });
        }
        if !keys.contains_key(&document.primary) {
            return Err(KeyFileProblem::Primary(document.primary.clone()));
        }
        Ok(Self { path: path.to_owned(), primary: document.primary, keys })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    primary: String,
    keys: BTreeMap<String, StoredKey>,
}

#[derive(Deserialize, Serialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    #[zeroize(skip)]
    created_at: DateTime<Utc>,
    /// 64 hexadecimal digits.
    key: String,
}

/// Letters, digits, dashes and underscores; at most 64.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The random part tells apart the keys of two files made on one day.
fn fresh_name(key: &LocalKey) -> String {
    format!("{}-{}", key.created_at.format("%Y%m%d"), hex::encode(rand::random::<[u8; 3]>()))
}

/// Puts a file where none is, at once and whole.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let folder = folder(path);
    fs::create_dir_all(folder)?;
    let draft = draft(folder, text)?;
    draft.as_file().sync_all()?;
    draft.persist_noclobber(path)?;
    File::open(folder)?.sync_all()
}

/// Puts a file into the place of another one, at once and whole: with the same owner, group and mode, and where symbolic links
/// lead to.
fn replace(path: &Path, text: &str) -> Result<(), KeyFileProblem> {
    let path = fs::canonicalize(path).map_err(KeyFileProblem::Write)?;
    let old = fs::metadata(&path).map_err(KeyFileProblem::Write)?;
    let folder = folder(&path);
    let draft = draft(folder, text).map_err(KeyFileProblem::Write)?;
    give_to_owner_of(&old, draft.as_file())?;
    let put = || {
        draft.as_file().set_permissions(old.permissions())?;
        draft.as_file().sync_all()?;
        draft.persist(&path)?;
        File::open(folder)?.sync_all()
    };
    put().map_err(KeyFileProblem::Write)
}

/// A file beside it, written first, so that a crash leaves no half of a key file. Its owner alone may read it.
fn draft(folder: &Path, text: &str) -> io::Result<NamedTempFile> {
    let mut draft = tempfile::Builder::new().prefix(".keys-").suffix(".new").tempfile_in(folder)?;
    draft.write_all(COMMENT.as_bytes())?;
    draft.write_all(text.as_bytes())?;
    Ok(draft)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A server that runs as somebody else than the operator must still be able to read the file.
#[cfg(unix)]
fn give_to_owner_of(old: &fs::Metadata, new: &File) -> Result<(), KeyFileProblem> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let made = new.metadata().map_err(KeyFileProblem::Write)?;
    if (made.uid(), made.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    let (uid, gid) = (old.uid(), old.gid());
    fchown(new, Some(uid), Some(gid)).map_err(|error| KeyFileProblem::Owner { uid, gid, error })
}

/// Key files are not read here at all.
#[cfg(not(unix))]
fn give_to_owner_of(_: &fs::Metadata, _: &File) -> Result<(), KeyFileProblem> {
    Ok(())
}

/// A key file cannot be used. The message never contains what stands in it.
#[derive(Debug, thiserror::Error)]
#[error("key file `{}` {problem}", path.display())]
pub struct KeyFileError {
    pub(super) path: PathBuf,
    #[source]
    pub(super) problem: KeyFileProblem,
}

impl KeyFileError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.problem, KeyFileProblem::Missing)
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum KeyFileProblem {
    #[error("does not exist")]
    Missing,
    #[error("cannot be read: {0}")]
    Read(Unreadable),
    #[error("cannot be written: {0}")]
    Write(io::Error),
    #[error(
        "cannot be given to its owner (user {uid}, group {gid}), and a server that runs as them could not read it: run \
         this as them, or as root: {error}"
    )]
    Owner { uid: u32, gid: u32, error: io::Error },
    #[error("{0}")]
    Open(TooOpen),
    #[error("is not a key file{}", line.map(|line| format!(" (line {line})")).unwrap_or_default())]
    Syntax { line: Option<usize> },
    #[error("has format version {0}; this release reads version {FORMAT_VERSION}")]
    Version(u32),
    #[error("names a key `{0}`: a name is 1 to 64 letters, digits, `-` or `_`")]
    Name(String),
    #[error("has a key `{0}` that is not 64 hexadecimal digits")]
    Key(String),
    #[error("names the primary key `{0}`, which is not in it")]
    Primary(String),
    #[error("has no key `{0}`: see `oubliette-admin keys local list`")]
    Unknown(String),
    #[error("has a key `{0}` already")]
    Taken(String),
    #[error("cannot name a key `{0}`: a name is 1 to 64 letters, digits, `-` or `_`")]
    NotAName(String),
    #[error("has `{0}` as its primary key: promote another one first")]
    IsPrimary(String),
    #[error("cannot be locked: {0}")]
    Lock(io::Error),
    #[error("cannot be made: {0}")]
    Randomness(RandomnessError),
    #[error("cannot be made")]
    Unserialisable,
}

impl KeyFileProblem {
    pub(super) fn read(error: Unreadable) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Read(error) }
    }
}
