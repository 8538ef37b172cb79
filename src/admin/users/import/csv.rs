use std::{
    io::{self, Read},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail};
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
    reader: csv::Reader<Bounded>,
    columns: Vec<Arc<Column>>,
    record: ByteRecord,
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
        let mut reader = builder.from_reader(Bounded { text, read: 0 });
        let mut record = ByteRecord::new();
        if !read(&mut reader, &mut record)? {
            bail!("the file is empty: the first line has to name the columns");
        }
        let name = |cell: &[u8]| Some(str::from_utf8(cell).ok()?.trim().to_owned());
        let header: Option<Vec<_>> = record.iter().map(name).collect();
        let header = header.with_context(|| format!("the first line {NO_UTF_8}"))?;
        let columns = columns.of_header(&header)?;
        Ok(Self { reader, columns, record })
    }

    fn cells(&self) -> Result<Vec<Cell>, Problem> {
        let (record, columns) = (&self.record, &self.columns);
        if record.len() != columns.len() {
            let first = record.position().map_or(0, csv::Position::line);
            let lines = self.reader.position().line().saturating_sub(first);
            let mut problem = format!(
                "has {}, and the first line has {}",
                counted(record.len() as u64, "cell"),
                columns.len()
            );
            if lines > 1 {
                problem.push_str(&format!("; it goes on for {lines} lines: is a quote not closed?"));
            }
            return Err(Problem::of_all(problem));
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
            let number = self.record.position().map_or(0, csv::Position::line);
            return Ok(Some(Line { number, cells: self.cells() }));
        }
        Ok(None)
    }

    fn position(&self) -> u64 {
        self.reader.position().byte()
    }
}

const NO_UTF_8: &str = "is not in UTF-8: save the file as \"CSV UTF-8\"";

/// Reads the next record, if there is one.
fn read(reader: &mut csv::Reader<Bounded>, record: &mut ByteRecord) -> anyhow::Result<bool> {
    let line = reader.position().line();
    reader.get_mut().read = 0;
    reader.read_byte_record(record).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => {
            anyhow!(error).context(format!("the file cannot be read, at line {line}"))
        }
        kind => anyhow!("line {line} cannot be read: {kind:?}"),
    })
}

/// Reads so much for one record: one without an end would fill the memory.
struct Bounded {
    text: Text,
    read: usize,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read > MAX_LINE {
            return Err(io::Error::other("one line has more than 16 MiB: is a quote not closed?"));
        }
        let read = self.text.read(buffer)?;
        self.read += read;
        Ok(read)
    }
}
