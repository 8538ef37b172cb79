use std::{
    fs::{self, File},
    io,
    ops::{Deref, DerefMut},
    path::Path,
};

use super::key_file::{KeyFile, KeyFileError, KeyFileProblem};
use crate::secret_file;

/// A key file that nobody else edits meanwhile. What was changed takes effect with [`KeyFileEditor::save`].
#[derive(Debug)]
pub struct KeyFileEditor {
    file: KeyFile,
    /// Dropping it gives up the lock.
    _lock: File,
}

impl KeyFileEditor {
    /// Waits for others who edit the file, then reads it.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] if it cannot be read or locked.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        let fail = |problem| KeyFileError { path: path.to_owned(), problem };
        loop {
            let lock = File::open(path)
                .map_err(|error| fail(KeyFileProblem::read(secret_file::explain(path, error))))?;
            lock.lock().map_err(|error| fail(KeyFileProblem::Lock(error)))?;
            let file = KeyFile::read(path)?;
            // Whoever held the lock before has put another file into the place of the one we locked.
            if is_same_file(&lock, path).map_err(|error| fail(KeyFileProblem::read(error.into())))? {
                return Ok(Self { file, _lock: lock });
            }
        }
    }

    /// Writes the changes: all, or none.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] if they cannot be written.
    pub fn save(self) -> Result<(), KeyFileError> {
        self.file.write()
    }
}

impl Deref for KeyFileEditor {
    type Target = KeyFile;

    fn deref(&self) -> &KeyFile {
        &self.file
    }
}

impl DerefMut for KeyFileEditor {
    fn deref_mut(&mut self) -> &mut KeyFile {
        &mut self.file
    }
}

#[cfg(unix)]
fn is_same_file(lock: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (locked, present) = (lock.metadata()?, fs::metadata(path)?);
    Ok((locked.dev(), locked.ino()) == (present.dev(), present.ino()))
}

/// Key files are not read here at all.
#[cfg(not(unix))]
fn is_same_file(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}
