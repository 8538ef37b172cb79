//! Printing a long table, page by page: it needs no more memory than a short one.

use std::io::{self, BufWriter, ErrorKind, Write};

use chrono::{DateTime, Utc};
use clap::Args;

/// When something happened.
#[derive(Args, Debug)]
pub(super) struct Period {
    /// Only what happened at this moment or later, such as 2026-11-24T05:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<DateTime<Utc>>,
    /// Only what happened before this moment
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<DateTime<Utc>>,
}

/// Some lines of an export.
#[derive(Debug)]
pub(super) struct Lines<P> {
    pub(super) lines: Vec<String>,
    /// The place of the last; none if there are no more after these.
    pub(super) next: Option<P>,
}

/// Prints lines to standard output, page by page, until there are no more. `page` gives those after a place; none for the first.
///
/// # Errors
///
/// The page's error, and that of standard output, unless it was closed: the reader has seen enough.
pub(super) async fn print_pages<P>(
    mut page: impl AsyncFnMut(Option<P>) -> anyhow::Result<Lines<P>>,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout());
    let mut after = None;
    loop {
        let Lines { lines, next } = page(after).await?;
        match print(&mut out, &lines) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            printed => printed?,
        }
        if next.is_none() {
            return Ok(());
        }
        after = next;
    }
}

/// A reader that follows along sees each page when it is there.
fn print(out: &mut impl Write, lines: &[String]) -> io::Result<()> {
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// Fields of a line, with tabs between them and `-` for an empty one.
pub(super) fn fields<const N: usize>(fields: [&str; N]) -> String {
    fields.map(|field| if field.is_empty() { "-" } else { field }).join("\t")
}
