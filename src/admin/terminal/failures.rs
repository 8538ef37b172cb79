use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Context;

/// The failures that are printed. All of them are in the file, if there is one.
const SHOWN: usize = 10;

/// Keeps the failures of a run: some for the screen, all for a file.
#[derive(Debug)]
pub(in crate::admin) struct Failures {
    path: Option<PathBuf>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    file: Option<std::io::BufWriter<File>>,
    shown: Vec<String>,
    count: usize,
    error: Option<std::io::Error>,
    /// The file has not all of them.
    is_lost: bool,
}

impl Failures {
    pub(in crate::admin) fn new(path: Option<&Path>) -> anyhow::Result<Self> {
        let make = |path: &Path| {
            let cannot = || format!("cannot make the file `{}`", path.display());
            anyhow::ensure!(
                is_empty_or_a_list(path).with_context(cannot)?,
                "`{}` is there already and is no list of failures, so it is not overwritten",
                path.display()
            );
            File::create(path).with_context(cannot)
        };
        let file = path.map(make).transpose()?.map(std::io::BufWriter::new);
        let kept = Kept { file, shown: Vec::new(), count: 0, error: None, is_lost: false };
        Ok(Self { path: path.map(Path::to_owned), kept: Mutex::new(kept) })
    }

    /// Keeps a failure, as an object and as a line.
    pub(in crate::admin) fn add(&self, object: &serde_json::Value, line: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count += 1;
        if kept.shown.len() < SHOWN {
            kept.shown.push(line.to_owned());
        }
        if let Some(file) = &mut kept.file
            && let Err(error) = writeln!(file, "{object}")
        {
            kept.error = Some(error);
        }
    }

    /// Some of the failures, for people. Empty if there are none.
    pub(in crate::admin) fn lines(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text: String = kept.shown.iter().map(|line| format!("  {line}\n")).collect();
        let more = kept.count - kept.shown.len();
        match &self.path {
            _ if kept.count == 0 => {}
            Some(path) if !kept.is_lost => text.push_str(&format!("  all of them: {}\n", path.display())),
            _ if more > 0 => text.push_str(&format!("  and {more} more: --failures FILE lists all\n")),
            _ => {}
        }
        text
    }

    pub(in crate::admin) fn flush(&self) -> anyhow::Result<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let flushed = kept.file.as_mut().map_or(Ok(()), Write::flush);
        let written = kept.error.take().map_or(flushed, Err);
        kept.is_lost = written.is_err();
        written.context("the list of failures cannot be written")
    }
}

/// Whether nothing is lost if a list is written there: the file is not there, is no file on a disk, is empty, or is such a list.
fn is_empty_or_a_list(path: &Path) -> std::io::Result<bool> {
    let metadata = match path.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        metadata => metadata?,
    };
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(true);
    }
    let mut first = String::new();
    // No failure is longer. What is no text is no list.
    let read = BufReader::new(File::open(path)?.take(1 << 20)).read_line(&mut first);
    let object = read.ok().and_then(|_| serde_json::from_str::<serde_json::Value>(&first).ok());
    Ok(object.is_some_and(|one| {
        one.get("cause").is_some() || (one.get("line").is_some() && one.get("problem").is_some())
    }))
}
