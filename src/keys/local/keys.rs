use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use super::{KeyFile, kek_id, wrapping_key::WrappingKey};
use crate::{causes, keys::KekId};

/// The wrapping keys of a key file, ready for use. Follows the file: `oubliette-admin keys local` changes
/// it while servers run.
#[derive(Debug)]
pub(super) struct Keys {
    file: PathBuf,
    loaded: RwLock<Arc<Loaded>>,
}

#[derive(Debug)]
struct Loaded {
    /// The state of the file that was looked at last.
    stamp: Option<Stamp>,
    primary: KekId,
    keys: Arc<BTreeMap<KekId, Arc<WrappingKey>>>,
}

/// Tells one state of a file from another: a change is a new file, moved into place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

impl Keys {
    pub(super) fn new(file: &KeyFile) -> Self {
        // No stamp: the file may have changed since it was read, so the first use looks again.
        Self { file: file.path().to_owned(), loaded: RwLock::new(Arc::new(Loaded::new(file, None))) }
    }

    /// Where the keys are.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The id of the key that wraps new data keys.
    pub(super) fn primary(&self) -> KekId {
        self.loaded().primary.clone()
    }

    /// The key with this id.
    pub(super) fn find(&self, kek_id: &KekId) -> Option<Arc<WrappingKey>> {
        self.loaded().keys.get(kek_id).cloned()
    }

    /// The keys with these ids. Looks at the file once.
    pub(super) fn find_two(&self, kek_ids: [&KekId; 2]) -> [Option<Arc<WrappingKey>>; 2] {
        let loaded = self.loaded();
        kek_ids.map(|kek_id| loaded.keys.get(kek_id).cloned())
    }

    /// The keys as the file has them now. Looking whether it changed takes about a microsecond. A file that is
    /// missing, damaged or another one altogether changes nothing here: `check` reports it.
    fn loaded(&self) -> Arc<Loaded> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone();
        let stamp = Stamp::of(&self.file);
        if stamp.is_none() || stamp == loaded.stamp {
            return loaded;
        }
        let reloaded = KeyFile::read(&self.file).map(|file| Loaded::new(&file, stamp));
        let reloaded = Arc::new(match reloaded {
            Ok(reloaded) if reloaded.keys.keys().any(|id| loaded.keys.contains_key(id)) => reloaded,
            unusable => {
                let why = unusable.err().map_or_else(
                    || "it has none of the keys that it had".to_owned(),
                    |error| causes::line(&error),
                );
                tracing::warn!(file = %self.file.display(), "the key file changed, and is not used: {why}");
                Loaded { stamp, primary: loaded.primary.clone(), keys: loaded.keys.clone() }
            }
        });
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = reloaded.clone();
        reloaded
    }
}

impl Loaded {
    fn new(file: &KeyFile, stamp: Option<Stamp>) -> Self {
        let keys = file.keys().map(|(name, key)| {
            let id = kek_id(name);
            (id.clone(), Arc::new(WrappingKey::new(id, &key.material)))
        });
        Self { stamp, primary: kek_id(file.primary()), keys: Arc::new(keys.collect()) }
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: metadata.modified().ok()?, length: metadata.len(), inode })
    }
}
