//! `oubliette-admin users import`: from a file to [`crate::users::Import`], without ever holding more than a few batches of it.
//!
//! | piece | what it is |
//! | --- | --- |
//! | source | the file: CSV or JSON Lines, and what else it may turn out to be |
//! | columns | what each column holds |
//! | line | a person of the file, with all that is wrong with them |
//! | seen | which usernames and ids the file had already |
//! | run | reads, checks and brings batches, several at a time |

mod columns;
mod csv;
mod json_lines;
mod line;
mod progress;
mod run;
mod seen;
mod source;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};
use clap::Args;
use serde_json::json;

use self::{
    columns::Columns,
    progress::{Counts, ImportProgress, people},
    run::{Ended, Run},
    source::Source,
};
use crate::{
    admin::{
        context::{Actor, AdminContext},
        runs::costs::{help_of_the_rate_of_people, rate_of},
        terminal::{Bar, INTERRUPTED, Output, Watch, counted, rate, say, tenths},
    },
    config::LoadedConfig,
    keys::{KeyContext, sweep::SweepOptions},
    users::ImportOptions,
};

/// Most bytes of one line: no person has more.
const MAX_LINE: usize = 16 << 20;

/// Brings people in from a file: CSV in UTF-8 with a header, or JSON Lines, one object a line.
///
/// The columns are `username`, which each person needs; `email`, `phone` and declared attributes; and `id`, a UUID that the
/// person keeps. An empty cell says nothing. Each person is imported whole or not at all, under a data key of their own.
///
/// Nobody who is here already is changed: who is known by the id, or without one by the username, is compared with what the file says of
/// them, and reported if anything differs. So a run that was interrupted, or that left something out, is simply run again.
///
/// Who was forgotten is not brought back. They are known by their ids alone: once anybody was forgotten, a line without an id is refused,
/// unless --without-ids says that none of them is in the file.
///
/// Exit status: 0 if everybody is here with all that the file says of them, 1 if anybody is not, 130 if it was interrupted.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin users import people.csv --dry-run                     # is everything in order?
  oubliette-admin users import people.csv --failures refused.jsonl
  oubliette-admin users import excel.csv --delimiter ';' --map Name=full_name --map Login=username --ignore Notes
  zcat people.jsonl.gz | oubliette-admin users import -")]
pub struct ImportCommand {
    /// The file, or `-` for standard input
    file: PathBuf,
    /// Check everything, compare with those who are here, and store nobody
    #[arg(long)]
    dry_run: bool,
    /// Take lines without an id for new people, although people were forgotten here: none of these is in the file
    #[arg(long)]
    without_ids: bool,
    /// What a column holds whose name is another one here; may be given several times
    #[arg(long = "map", value_name = "COLUMN=ATTRIBUTE", value_parser = mapping)]
    mapped: Vec<(String, String)>,
    /// Leave this column out; may be given several times
    #[arg(long = "ignore", value_name = "COLUMN")]
    ignored: Vec<String>,
    /// What separates the cells of CSV: one character, or `tab`
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    #[arg(long, value_name = "PEOPLE", help = help_of_the_rate_of_people())]
    max_rate: Option<u32>,
    /// JSON lines: the progress each second, the result
    #[arg(long)]
    json: bool,
    /// Write all that was refused or differs to this file: one JSON object for each problem, with line, column and reason, and never the value
    #[arg(long, value_name = "FILE")]
    failures: Option<PathBuf>,
    #[command(flatten)]
    actor: Actor,
}

impl ImportCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        if let Some(failures) = &self.failures {
            ensure!(!is_same(failures, &self.file), "--failures would overwrite the file that is imported");
        }
        let context = AdminContext::open(loaded).await?;
        context.require_trusted_ledger().await?;
        // A dry run finds out, too.
        let backend = context.backends.active();
        backend.current(&KeyContext::of_nobody()).await.with_context(|| {
            format!("nobody can be imported: key backend `{}` makes no data keys. A server, started once, says what is missing", backend.name())
        })?;
        let users = context.users();
        if !self.dry_run {
            // Whoever is imported first is found, too.
            users.prepare_search(false).await?;
        }
        let columns = Arc::new(Columns::new(&users, &self.mapped, &self.ignored)?);
        let source = Source::open(&self.file)?;
        let size = source.size;
        let lines = source.lines(self.delimiter, &columns)?;
        let watch =
            Watch::new(ImportProgress::new(size), Bar::Bytes(size), self.json, self.failures.as_deref())?;
        let sweep =
            SweepOptions { concurrency: context.config.max_concurrent_calls, ..SweepOptions::default() };
        let options = ImportOptions { dry_run: self.dry_run, without_ids: self.without_ids };
        let import = users.import(&self.actor.origin(), &sweep, options);
        let run = Run::new(import, columns.clone(), rate_of(self.max_rate, &context), &watch);
        let ended = watch.during(run.run(lines)).await.flatten()?;
        if let (Ended::Completed, Some(missing)) = (&ended, columns.never_there()) {
            say(&format!("warning: no line of the file had {missing}"));
        }
        let output = self.outcome(&ended, &watch);
        context.close().await?;
        Ok(output)
    }

    fn outcome(&self, ended: &Ended, watch: &Watch<ImportProgress>) -> Output {
        let counts = watch.progress().counts();
        let status = match ended {
            Ended::Interrupted => INTERRUPTED,
            Ended::Completed if counts.is_well() => 0,
            Ended::Completed | Ended::Stopped(_) => 1,
        };
        let seconds = watch.elapsed().as_secs_f64();
        let text = if self.json {
            let mut result = counts.object();
            result["event"] = "result".into();
            (result["outcome"], result["cause"]) = match ended {
                Ended::Completed => ("completed".into(), json!(null)),
                Ended::Interrupted => ("interrupted".into(), json!(null)),
                Ended::Stopped(cause) => ("stopped".into(), json!(cause)),
            };
            result["dry_run"] = self.dry_run.into();
            result["seconds"] = json!(tenths(seconds));
            format!("{result}\n")
        } else {
            self.text(ended, counts, seconds, &watch.failures().lines())
        };
        Output { text, status }
    }

    fn text(&self, ended: &Ended, counts: Counts, seconds: f64, failures: &str) -> String {
        let done = if self.dry_run { "checked: would import" } else { "imported" };
        let per_second = indicatif::HumanFloatCount(rate(counts.all(), seconds).round());
        let mut text =
            format!("{done} {} in {seconds:.1} s ({per_second} lines a second)\n", people(counts.created));
        if counts.same > 0 {
            let same = people(counts.same);
            text.push_str(&format!("{same} here already, with all that the file says of them\n"));
        }
        if counts.different > 0 {
            let different = people(counts.different);
            text.push_str(&format!(
                "{different} here already with OTHER values, and left as they are: `updateUser` changes them\n"
            ));
        }
        if counts.refused > 0 {
            text.push_str(&format!("{} REFUSED\n", counted(counts.refused, "line")));
        }
        text.push_str(failures);
        match ended {
            Ended::Completed => {}
            Ended::Interrupted => {
                text.push_str("interrupted: to go on, run it again: whoever is here already is left out\n");
            }
            Ended::Stopped(cause) => {
                text.push_str(&format!("stopped: {cause}\n{GO_ON}"));
            }
        }
        text
    }
}

const GO_ON: &str = "to go on, run it again when that is mended: whoever is here already is left out\n";

/// `COLUMN=ATTRIBUTE`. A column's name may have a `=`, an attribute's has none.
fn mapping(argument: &str) -> Result<(String, String), &'static str> {
    match argument.rsplit_once('=') {
        Some((column, attribute)) if !column.is_empty() => Ok((column.to_owned(), attribute.to_owned())),
        _ => Err("write COLUMN=ATTRIBUTE"),
    }
}

fn delimiter(argument: &str) -> Result<u8, &'static str> {
    match argument.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [one] if one.is_ascii() && !b"\"\r\n".contains(one) => Ok(*one),
        _ => Err("one ASCII character, such as ';', or tab"),
    }
}

/// Whether a file is the one that is imported, by any of its names, or as standard input.
fn is_same(file: &Path, imported: &Path) -> bool {
    let identity = |metadata: rustix::fs::Stat| (metadata.st_dev, metadata.st_ino);
    let imported = if imported == Path::new("-") {
        rustix::fs::fstat(std::io::stdin())
    } else {
        rustix::fs::stat(imported)
    };
    match (rustix::fs::stat(file), imported) {
        (Ok(file), Ok(imported)) => identity(file) == identity(imported),
        _ => false,
    }
}
