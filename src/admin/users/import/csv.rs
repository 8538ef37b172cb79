use std::{
    collections::VecDeque,
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
        let mut reader =
            builder.from_reader(Raw { text, kept: VecDeque::new(), first: 0, breaks: Breaks::default() });
        let mut record = ByteRecord::new();
        if !read(&mut reader, &mut record)? {
            bail!("the file is empty: the first line has to name the columns");
        }
        let end = reader.position().byte();
        let (_, raw) = reader.get_mut().take(end);
        ensure!(
            is_well_quoted(&raw, delimiter),
            "the first line has a quote that is not closed, or in the wrong place"
        );
        let name = |cell: &[u8]| Some(str::from_utf8(cell).ok()?.trim().to_owned());
        let header: Option<Vec<_>> = record.iter().map(name).collect();
        let header = header.with_context(|| format!("the first line {NO_UTF_8}"))?;
        let columns = columns.of_header(&header)?;
        Ok(Self { reader, columns, record, delimiter })
    }

    /// The person whose cells were read last, and who begins there.
    fn line(&self, number: u64, raw: &[u8]) -> Line {
        let (record, columns) = (&self.record, &self.columns);
        let (mut cells, mut problems) = (Vec::with_capacity(columns.len()), Vec::new());
        if !is_well_quoted(raw, self.delimiter) {
            let last = number + Breaks::default().after(raw.trim_ascii_end()).count;
            problems.push(Problem::of_all(format!(
                "has a quote that is not closed, or in the wrong place; it goes on to line {last}"
            )));
        } else if record.len() != columns.len() {
            let cells = counted(record.len() as u64, "cell");
            problems.push(Problem::of_all(format!("has {cells}, and the first line has {}", columns.len())));
        } else {
            let wanted = columns.iter().zip(record).filter(|(column, _)| column.target != Target::Ignored);
            for (column, cell) in wanted {
                match str::from_utf8(cell) {
                    Ok(text) if text.trim().is_empty() => {}
                    Ok(text) => cells.push(Cell { column: column.clone(), text: text.to_owned() }),
                    Err(_) => problems.push(Problem::of(&column.name, NO_UTF_8)),
                }
            }
        }
        Line { number, cells, problems }
    }
}

impl Lines for Csv {
    fn next(&mut self) -> anyhow::Result<Option<Line>> {
        while read(&mut self.reader, &mut self.record)? {
            let end = self.reader.position().byte();
            let (number, raw) = self.reader.get_mut().take(end);
            // As spreadsheets leave them at the end.
            let is_blank = self.record.iter().all(|cell| cell.trim_ascii().is_empty());
            if is_blank && is_well_quoted(&raw, self.delimiter) {
                continue;
            }
            return Ok(Some(self.line(number, &raw)));
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
    let read = reader.read_byte_record(record);
    read.map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => {
            let line = reader.get_ref().breaks.count + 1;
            anyhow!(error).context(format!("the file cannot be read, at line {line}"))
        }
        kind => anyhow!("a line cannot be read: {kind:?}"),
    })
}

/// The text, and those of its bytes that no record has taken yet, for a look at the quotes and the lines.
struct Raw {
    text: Text,
    kept: VecDeque<u8>,
    /// The place of the first byte that is kept.
    first: u64,
    /// Those before it.
    breaks: Breaks,
}

impl Raw {
    /// Takes the record that ends there, without line breaks before it, and gives the number of its first line.
    fn take(&mut self, end: u64) -> (u64, Vec<u8>) {
        self.skip_breaks(end);
        let number = self.breaks.count + 1;
        let length = usize::try_from(end.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let record: Vec<u8> = self.kept.drain(..length.min(self.kept.len())).collect();
        self.breaks = self.breaks.after(&record);
        self.first = end;
        (number, record)
    }

    /// The end of the line before, if that is a CRLF, and empty lines.
    fn skip_breaks(&mut self, end: u64) {
        while self.first < end
            && let Some(byte) = self.kept.pop_front_if(|byte| b"\r\n".contains(byte))
        {
            self.breaks = self.breaks.after(&[byte]);
            self.first += 1;
        }
    }
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.skip_breaks(u64::MAX);
        // A record without an end would fill the memory.
        if self.kept.len() > MAX_LINE {
            return Err(io::Error::other("one line has more than 16 MiB: is a quote not closed?"));
        }
        let read = self.text.read(buffer)?;
        self.kept.extend(&buffer[..read]);
        Ok(read)
    }
}

/// Line breaks, as editors count them: LF, CRLF, and CR alone.
#[derive(Clone, Copy, Debug, Default)]
struct Breaks {
    count: u64,
    /// The last byte was a CR, which an LF may follow.
    after_cr: bool,
}

impl Breaks {
    /// With those of some more bytes.
    fn after(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.count += u64::from(*byte == b'\r' || (*byte == b'\n' && !self.after_cr));
            self.after_cr = *byte == b'\r';
        }
        self
    }
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
