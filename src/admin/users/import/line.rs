use std::sync::Arc;

use uuid::Uuid;

use super::columns::{Column, Target};
use crate::{
    attributes::Change,
    envelope::SubjectId,
    users::{AttributeChanges, ImportedUser, NewUser, UserError, Username},
};

/// A person of the file.
#[derive(Debug)]
pub(super) struct Line {
    /// Where the person begins in the file, from 1.
    pub(super) number: u64,
    /// Those cells that say something about them, as far as they could be read.
    pub(super) cells: Vec<Cell>,
    /// Why others could not.
    pub(super) problems: Vec<Problem>,
}

/// What a person has in a column.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) column: Arc<Column>,
    pub(super) text: String,
}

/// What is wrong with a person of the file.
#[derive(Debug)]
pub(super) struct Problem {
    /// The column, as the file names it, if it is about one.
    pub(super) column: Option<String>,
    /// The end of a sentence, without the value.
    pub(super) problem: String,
}

impl Problem {
    /// Of the person as a whole.
    pub(super) fn of_all(problem: impl Into<String>) -> Self {
        Self { column: None, problem: problem.into() }
    }

    /// Of a column.
    pub(super) fn of(column: &str, problem: impl Into<String>) -> Self {
        Self { column: Some(column.to_owned()), problem: problem.into() }
    }
}

/// A person of the file, checked by the rules for each value.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) number: u64,
    pub(super) id: Option<SubjectId>,
    pub(super) username: Option<Username>,
    personal: AttributeChanges,
    /// All that is wrong with them.
    pub(super) problems: Vec<Problem>,
}

impl Line {
    /// Checks each value.
    pub(super) fn check(self) -> Checked {
        let mut checked = Checked {
            number: self.number,
            id: None,
            username: None,
            personal: AttributeChanges::default(),
            problems: self.problems,
        };
        let is_named = |cell: &Cell| cell.column.target == Target::Username && !cell.text.trim().is_empty();
        if checked.problems.is_empty() && !self.cells.iter().any(is_named) {
            checked.problems.push(Problem::of_all("has no username"));
        }
        for Cell { column, text } in self.cells {
            checked.add(&column, &text);
        }
        checked
    }
}

impl Checked {
    fn add(&mut self, column: &Column, text: &str) {
        let trimmed = text.trim();
        let added = match &column.target {
            Target::Ignored => Ok(()),
            Target::Id | Target::Username if trimmed.is_empty() => Ok(()),
            Target::Nameless => Err("a column without a name is not empty".to_owned()),
            Target::Id if self.id.is_some() => Err(TWICE.to_owned()),
            Target::Username if self.username.is_some() => Err(TWICE.to_owned()),
            Target::Id => match Uuid::parse_str(trimmed) {
                Ok(id) => {
                    self.id = Some(id.into());
                    Ok(())
                }
                Err(_) => Err("is not a UUID".to_owned()),
            },
            Target::Username => {
                Username::parse(trimmed).map(|username| self.username = Some(username)).map_err(problem)
            }
            Target::Attribute(attribute) => {
                self.personal.add(attribute, Change::Replace(text)).map_err(problem)
            }
        };
        if let Err(problem) = added {
            let column = Some(column.name.clone()).filter(|name| !name.is_empty());
            self.problems.push(Problem { column, problem });
        }
    }

    /// The user, if nothing is wrong with them.
    pub(super) fn into_user(self) -> Result<ImportedUser, Vec<Problem>> {
        match self.username {
            Some(username) if self.problems.is_empty() => {
                Ok(ImportedUser { id: self.id, new: NewUser { username, personal: self.personal } })
            }
            _ => Err(self.problems),
        }
    }
}

const TWICE: &str = "is given twice";

/// What is wrong, without the name, which may be another one in the file.
fn problem(error: UserError) -> String {
    match error {
        UserError::Invalid { problem, .. } => problem,
        other => other.to_string(),
    }
}
