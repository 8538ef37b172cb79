use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, bail};

use super::{columns::Columns, csv::Csv, json_lines::JsonLines, line::Line};

/// The text of a file, without a byte order mark.
pub(super) type Text = Box<dyn Read + Send>;

/// The people of a file, one after the other.
pub(super) trait Lines: Send {
    /// The next one; none if there are no more.
    ///
    /// # Errors
    ///
    /// If the file cannot be read any further.
    fn next(&mut self) -> anyhow::Result<Option<Line>>;

    /// The bytes of the file until here.
    fn position(&self) -> u64;
}

/// A file that was opened.
pub(super) struct Source {
    text: Text,
    is_json: bool,
    /// In bytes, if it is known.
    pub(super) size: Option<u64>,
}

/// So much of a file says what it is.
const HEAD: u64 = 512;

impl Source {
    /// Opens a file, or standard input, which is called `-`, and finds out what is in it.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or is neither CSV nor JSON Lines in UTF-8.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("`{}` cannot be read", path.display());
        let (mut text, size): (Text, _) = if path == Path::new("-") {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).with_context(cannot)?;
            let metadata = file.metadata().with_context(cannot)?;
            (Box::new(file), metadata.is_file().then_some(metadata.len()))
        };
        let mut head = Vec::new();
        text.by_ref().take(HEAD).read_to_end(&mut head).with_context(cannot)?;
        if let Some(what) = what_else(&head) {
            bail!("`{}` {what}", path.display());
        }
        if head.starts_with(UTF_8) {
            head.drain(..UTF_8.len());
        }
        let is_json = match head.trim_ascii_start().first() {
            Some(b'{') => true,
            Some(b'[') => bail!(
                "`{}` is a JSON list. JSON Lines has one object a line: `jq -c '.[]'` makes them",
                path.display()
            ),
            _ => false,
        };
        Ok(Self { text: Box::new(Cursor::new(head).chain(text)), is_json, size })
    }

    /// The people in it.
    ///
    /// # Errors
    ///
    /// If the header of CSV is not one for these columns.
    pub(super) fn lines(self, delimiter: u8, columns: &Arc<Columns>) -> anyhow::Result<Box<dyn Lines>> {
        Ok(if self.is_json {
            Box::new(JsonLines::new(self.text, columns.clone()))
        } else {
            Box::new(Csv::new(self.text, delimiter, columns)?)
        })
    }
}

/// The byte order mark of UTF-8.
const UTF_8: &[u8] = b"\xef\xbb\xbf";

/// What a file is that is not a text in UTF-8, as far as its beginning tells.
fn what_else(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"PK\x03\x04") {
        Some("is a workbook of a spreadsheet, or a ZIP archive: save it as \"CSV UTF-8\"")
    } else if head.starts_with(b"\x1f\x8b") {
        Some("is compressed: `gzip -dc FILE | oubliette-admin users import -`")
    } else if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        Some("is in UTF-16: save it as \"CSV UTF-8\"")
    } else if head.contains(&0) {
        Some("is no text in UTF-8")
    } else {
        None
    }
}
