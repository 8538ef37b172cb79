//! What the documents say and a test can hold: links, commands, settings, defaults, metrics, alerts, error codes, rooms.

mod alerts;
mod commands;
mod defaults;
mod errors;
mod evidence;
mod examples;
mod files;
mod links;
mod messages;
mod metrics;
mod rooms;
mod settings;
mod shell;
mod tables;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file of the repository.
fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A document, in Markdown.
struct Page {
    /// As in the repository: `docs/audit.md`.
    name: String,
    text: String,
}

/// A part of a document that is shown as it is.
struct Block {
    language: String,
    text: String,
}

/// What whoever uses the service reads.
fn manual() -> Vec<Page> {
    let mut pages = vec![Page::read("README.md")];
    pages.extend(folder("docs"));
    pages
}

/// All documents.
fn everything() -> Vec<Page> {
    let mut pages = manual();
    pages.extend(
        ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "examples/clinic/README.md"].map(Page::read),
    );
    pages.extend(folder("docs/decisions"));
    pages
}

fn folder(name: &str) -> Vec<Page> {
    let files = fs::read_dir(repository(name)).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = files.filter_map(|file| file.into_string().ok()).collect();
    names.retain(|file| Path::new(file).extension().is_some_and(|extension| extension == "md"));
    names.sort_unstable();
    names.iter().map(|file| Page::read(&format!("{name}/{file}"))).collect()
}

impl Page {
    fn read(name: &str) -> Self {
        Self { name: name.to_owned(), text: fs::read_to_string(repository(name)).unwrap() }
    }

    /// The blocks between fences, without the indent that a list gives them.
    fn blocks(&self) -> Vec<Block> {
        self.parts().1
    }

    /// All but the blocks.
    fn prose(&self) -> String {
        self.parts().0
    }

    /// What stands between backticks in the prose. Lines may break in it.
    fn code(&self) -> Vec<String> {
        let prose = self.prose();
        let spans = prose.split("\n\n").flat_map(|paragraph| {
            paragraph.split('`').skip(1).step_by(2).map(|code| code.replace('\n', " "))
        });
        spans.collect()
    }

    /// The rows of tables that have all these columns, and of those the cells.
    fn rows<const N: usize>(&self, columns: [&str; N]) -> Vec<[String; N]> {
        let mut rows = Vec::new();
        let mut places: Option<[usize; N]> = None;
        for line in self.prose().lines() {
            if !line.starts_with('|') {
                places = None;
                continue;
            }
            let cells: Vec<_> = line.trim_matches('|').split(" |").map(str::trim).collect();
            if let Some(places) = places {
                rows.push(places.map(|place| cells.get(place).copied().unwrap_or_default().to_owned()));
            } else {
                let found = columns.map(|column| cells.iter().position(|cell| *cell == column));
                places = found.iter().all(Option::is_some).then(|| found.map(Option::unwrap));
            }
        }
        rows.retain(|row| !row[0].starts_with("---"));
        rows
    }

    fn parts(&self) -> (String, Vec<Block>) {
        let (mut prose, mut blocks) = (String::new(), Vec::new());
        let mut open: Option<(usize, Block)> = None;
        for line in self.text.lines() {
            let bare = line.trim_start();
            match (&mut open, bare.strip_prefix("```")) {
                (None, Some(language)) => {
                    let block = Block { language: language.to_owned(), text: String::new() };
                    open = Some((line.len() - bare.len(), block));
                }
                (Some(_), Some("")) => blocks.extend(open.take().map(|(_, block)| block)),
                (Some((indent, block)), _) => {
                    block.text.push_str(line.get(*indent..).unwrap_or_default());
                    block.text.push('\n');
                }
                (None, None) => {
                    prose.push_str(line);
                    prose.push('\n');
                }
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.name);
        (prose, blocks)
    }
}

/// Fails with all that is wrong, so that one run finds everything.
fn none_of(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}
