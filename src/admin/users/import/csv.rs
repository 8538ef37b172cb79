use std::{
    io::{self, Read},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail, ensure};
use csv::{ByteRecord, ReaderBuilder};

use super::{
    MAX_LINE,
    columns::{Column, Columns, Target},
    line::{Cell, Line, Problem},
    source::{Lines, Text},
};
use crate::admin::terminal::counted;

/// Comma-separated values with a header (RFC 4180), or separated by something else.
pub(super) struct Csv {
    reader: csv::Reader<Raw>,
    columns: Vec<Arc<Column>>,
    record: ByteRecord,
    delimiter: u8,
}

impl Csv {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// If it is none for these columns.
    pub(super) fn new(text: Text, delimiter: u8, columns: &Columns) -> anyhow::Result<Self> {
        let mut builder = ReaderBuilder::new();
        builder.delimiter(delimiter).has_headers(false).flexible(true).buffer_capacity(64 << 10);
        let mut reader = builder.from_reader(Raw { text, kept: Vec::new(), first: 0, from: 0 });
        let mut record = ByteRecord::new();
        if !read(&mut reader, &mut record)? {
            bail!("the file is empty: the first line has to name the columns");
        }
        let raw = reader.get_ref().record(reader.position().byte());
        ensure!(
            is_well_quoted(raw.trim_ascii_start(), delimiter),
            "the first line has a quote that is not closed, or in the wrong place"
        );
        let name = |cell: &[u8]| Some(str::from_utf8(cell).ok()?.trim().to_owned());
        let header: Option<Vec<_>> = record.iter().map(name).collect();
        let header = header.with_context(|| format!("the first line {NO_UTF_8}"))?;
        let columns = columns.of_header(&header)?;
        Ok(Self { reader, columns, record, delimiter })
    }

    fn cells(&self, number: u64, raw: &[u8]) -> Result<Vec<Cell>, Problem> {
        let (record, columns) = (&self.record, &self.columns);
        if !is_well_quoted(raw, self.delimiter) {
            let last = number + newlines(raw.trim_ascii_end());
            let problem =
                format!("has a quote that is not closed, or in the wrong place; it goes on to line {last}");
            return Err(Problem::of_all(problem));
        }
        if record.len() != columns.len() {
            let cells = counted(record.len() as u64, "cell");
            return Err(Problem::of_all(format!("has {cells}, and the first line has {}", columns.len())));
        }
        let mut cells = Vec::with_capacity(columns.len());
        for (column, cell) in
            columns.iter().zip(record).filter(|(column, _)| column.target != Target::Ignored)
        {
            let text = str::from_utf8(cell).map_err(|_| Problem::of(&column.name, NO_UTF_8))?.to_owned();
            cells.push(Cell { column: column.clone(), text });
        }
        Ok(cells)
    }
}

impl Lines for Csv {
    fn next(&mut self) -> anyhow::Result<Option<Line>> {
        while read(&mut self.reader, &mut self.record)? {
            // As spreadsheets leave them at the end.
            if self.record.iter().all(<[u8]>::is_empty) {
                continue;
            }
            let place = self.record.position().map_or(0, csv::Position::line);
            let raw = self.reader.get_ref().record(self.reader.position().byte());
            // It begins with the end of the line before, if that is a CRLF, and with empty lines.
            let begin = raw.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(raw.len());
            let (before, raw) = raw.split_at(begin);
            let number = place + newlines(before);
            return Ok(Some(Line { number, cells: self.cells(number, raw) }));
        }
        Ok(None)
    }

    fn position(&self) -> u64 {
        self.reader.position().byte()
    }
}

const NO_UTF_8: &str = "is not in UTF-8: save the file as \"CSV UTF-8\"";

/// Reads the next record, if there is one.
fn read(reader: &mut csv::Reader<Raw>, record: &mut ByteRecord) -> anyhow::Result<bool> {
    let (line, place) = (reader.position().line(), reader.position().byte());
    reader.get_mut().from = place;
    reader.read_byte_record(record).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => {
            anyhow!(error).context(format!("the file cannot be read, at line {line}"))
        }
        kind => anyhow!("line {line} cannot be read: {kind:?}"),
    })
}

/// The text, and all of it since the last record, for a look at its quotes.
struct Raw {
    text: Text,
    kept: Vec<u8>,
    /// The place of the first byte that is kept.
    first: u64,
    /// Where the record begins.
    from: u64,
}

impl Raw {
    /// The record's bytes, which end there.
    fn record(&self, end: u64) -> &[u8] {
        let place = |place: u64| usize::try_from(place.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.kept.get(place(self.from)..place(end)).unwrap_or_default()
    }
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let over = usize::try_from(self.from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.kept.drain(..over.min(self.kept.len()));
        self.first = self.from;
        // A record without an end would fill the memory.
        if self.kept.len() > MAX_LINE {
            return Err(io::Error::other("one line has more than 16 MiB: is a quote not closed?"));
        }
        let read = self.text.read(buffer)?;
        self.kept.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Whether each quoted cell ends with its quote (RFC 4180, section 2.5 to 2.7). The reader takes what follows it for a part of the cell: so a quote
/// that is not closed would make one person of several.
fn is_well_quoted(record: &[u8], delimiter: u8) -> bool {
    let mut bytes = record.iter().copied().peekable();
    loop {
        // A cell.
        if bytes.next_if_eq(&b'"').is_some() {
            loop {
                match bytes.next() {
                    None => return false,
                    Some(b'"') if bytes.next_if_eq(&b'"').is_none() => break,
                    Some(_) => {}
                }
            }
            if bytes.peek().is_some_and(|next| *next != delimiter && !b"\r\n".contains(next)) {
                return false;
            }
        }
        loop {
            match bytes.next() {
                None => return true,
                Some(byte) if byte == delimiter => break,
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_cell_ends_with_its_quote() {
        for well in [
            "",
            "a,b\r\n",
            "\"a\",\"\"\n",
            "\n\r\n\"a\nb\",c\n",
            "\"say \"\"yes\"\"\"",
            "5\" pipe,x\n",
            ",\"a\"",
        ] {
            assert!(is_well_quoted(well.as_bytes(), b','), "{well}");
        }
        for wrong in ["\"", "a,\"b\nc,d\n", "a,\"b\nc,\"d\"\n", "\"a\" ,b", "\"a\"\"", "\"a\";b"] {
            assert!(!is_well_quoted(wrong.as_bytes(), b','), "{wrong}");
        }
        assert!(is_well_quoted(b"\"a\";b", b';'));
    }
}
