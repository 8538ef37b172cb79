use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use super::{KeyFile, kek_id};
use crate::{KekId, SharedObserver, causes, open_wrapping_key::OpenWrappingKey};

/// The wrapping keys of a key file, ready for use. Follows the file: `oubliette-admin keys local` changes it while servers
/// run.
///
/// What was in the file once opens data keys for as long as the process runs. Only what the file has now wraps them: a
/// wrapping key that is not in it any more is lost with the process.
#[derive(Debug)]
pub(super) struct FileKeys {
    file: PathBuf,
    seen: RwLock<Arc<Seen>>,
    /// The name of the backend.
    backend: String,
    observer: SharedObserver,
}

/// What was seen of the file so far.
#[derive(Debug)]
struct Seen {
    /// The state of the file that was looked at last.
    stamp: Option<Stamp>,
    /// What the file has now; or why it is not known.
    now: Result<Present, Unusable>,
    /// All wrapping keys that it ever had.
    keys: BTreeMap<KekId, Arc<OpenWrappingKey>>,
}

/// What a file has.
#[derive(Clone, Debug)]
struct Present {
    primary: KekId,
    keys: BTreeMap<KekId, Arc<OpenWrappingKey>>,
}

/// Why nothing can be wrapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("{0}")]
    File(String),
    #[error(
        "key file `{0}` has none of the keys that it had since this process started: if it is the right one, restart"
    )]
    Another(String),
    #[error(
        "key file `{file}` has another key under the name `{kek_id}` than it had: put the right file back"
    )]
    Changed { file: String, kek_id: KekId },
    #[error("key file `{file}` does not have the key `{kek_id}` any more")]
    Gone { file: String, kek_id: KekId },
}

/// Tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    /// The file itself, and when anything of it was changed last: its content, its owner, its mode.
    #[cfg(unix)]
    inode: (u64, u64, i64, i64),
    #[cfg(not(unix))]
    modified: Option<std::time::SystemTime>,
}

impl FileKeys {
    pub(super) fn new(backend: &str, file: &KeyFile, observer: SharedObserver) -> Self {
        observer.key_file_usable(backend, true);
        let now = Present::of(file);
        // No stamp: the file may have changed since it was read, so the first use looks again.
        let seen = Seen { stamp: None, keys: now.keys.clone(), now: Ok(now) };
        Self {
            file: file.path().to_owned(),
            seen: RwLock::new(Arc::new(seen)),
            backend: backend.to_owned(),
            observer,
        }
    }

    /// Where the keys are.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The id of the key that wraps new data keys.
    pub(super) fn primary(&self) -> Result<KekId, Unusable> {
        let now = self.look().now.clone()?;
        self.present(&now, &now.primary).map(|key| key.id().clone())
    }

    /// The key with this id, for wrapping.
    pub(super) fn to_wrap(&self, kek_id: &KekId) -> Result<Arc<OpenWrappingKey>, Unusable> {
        self.present(&self.look().now.clone()?, kek_id)
    }

    /// The key with this id, for unwrapping.
    pub(super) fn to_unwrap(&self, kek_id: &KekId) -> Option<Arc<OpenWrappingKey>> {
        let known = self.seen().keys.get(kek_id).cloned();
        known.or_else(|| self.look().keys.get(kek_id).cloned())
    }

    /// Looks at the file, which takes about a microsecond if nothing has changed.
    pub(super) fn follow(&self) {
        self.look();
    }

    /// Reads the file, whether it seems to have changed or not.
    pub(super) fn read_again(&self) {
        let stamp = Stamp::of(&self.file);
        self.update(&self.seen(), stamp);
    }

    fn look(&self) -> Arc<Seen> {
        let seen = self.seen();
        let stamp = Stamp::of(&self.file);
        // What could not be read is tried again each time.
        if seen.now.is_ok() && stamp.is_some() && stamp == seen.stamp {
            return seen;
        }
        self.update(&seen, stamp)
    }

    fn update(&self, seen: &Seen, stamp: Option<Stamp>) -> Arc<Seen> {
        let now = self.read(seen);
        match (&now, &seen.now) {
            (Ok(_), Err(_)) => tracing::info!(file = %self.file.display(), "the key file can be used again"),
            (Err(error), before) if before.as_ref().err() != Some(error) => {
                tracing::error!(
                    "nothing new is wrapped, and data keys are opened with what the file had before: {error}"
                );
            }
            _ => {}
        }
        self.observer.key_file_usable(&self.backend, now.is_ok());
        let mut keys = seen.keys.clone();
        if let Ok(now) = &now {
            keys.extend(now.keys.clone());
        }
        let seen = Arc::new(Seen { stamp, now, keys });
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = seen.clone();
        seen
    }

    fn read(&self, seen: &Seen) -> Result<Present, Unusable> {
        let file = KeyFile::read(&self.file).map_err(|error| Unusable::File(causes::line(&error)))?;
        let now = Present::of(&file);
        let mut any = false;
        for (kek_id, key) in &now.keys {
            if let Some(known) = seen.keys.get(kek_id) {
                if !known.is_same_as(key) {
                    return Err(Unusable::Changed { file: self.name(), kek_id: kek_id.clone() });
                }
                any = true;
            }
        }
        if any { Ok(now) } else { Err(Unusable::Another(self.name())) }
    }

    fn present(&self, now: &Present, kek_id: &KekId) -> Result<Arc<OpenWrappingKey>, Unusable> {
        let key = now.keys.get(kek_id).cloned();
        key.ok_or_else(|| Unusable::Gone { file: self.name(), kek_id: kek_id.clone() })
    }

    fn seen(&self) -> Arc<Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn name(&self) -> String {
        self.file.display().to_string()
    }
}

impl Present {
    fn of(file: &KeyFile) -> Self {
        let keys = file.keys().map(|(name, key)| {
            let id = kek_id(name);
            (id.clone(), Arc::new(OpenWrappingKey::new(id, &key.material)))
        });
        Self { primary: kek_id(file.primary()), keys: keys.collect() }
    }
}

impl Stamp {
    #[cfg(unix)]
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(path).ok()?;
        let inode = (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
        Some(Self { length: metadata.len(), inode })
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { length: metadata.len(), modified: metadata.modified().ok() })
    }
}
