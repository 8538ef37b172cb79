use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use anyhow::{bail, ensure};

use crate::{
    admin::terminal::one_line,
    users::{UserAttribute, Users},
};

/// A column of the file, as the file names it.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) target: Target,
    /// Whether any line had it.
    pub(super) was_there: AtomicBool,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Id,
    Username,
    Attribute(UserAttribute),
    /// Nothing that is wanted.
    Ignored,
    /// Nothing: it has no name, as spreadsheets leave them at the end of each line.
    Nameless,
}

/// The columns that a file may have: what they are called here, and what an operator says of others.
#[derive(Debug)]
pub(super) struct Columns {
    known: HashMap<String, Arc<Column>>,
    /// Those that the operator named, of which each is to be there.
    named: Vec<String>,
}

impl Columns {
    /// `mapped` are names in the file with names here.
    pub(super) fn new(
        users: &Users,
        mapped: &[(String, String)],
        ignored: &[String],
    ) -> anyhow::Result<Self> {
        let own: Vec<_> = [Target::Id, Target::Username]
            .into_iter()
            .chain(users.attributes().map(Target::Attribute))
            .collect();
        let mut columns = Self { known: HashMap::new(), named: Vec::new() };
        for target in &own {
            columns.add(target.name().to_owned(), target.clone());
        }
        let mut taken: HashMap<&str, &str> = HashMap::new();
        for (name, to) in mapped {
            let Some(target) = own.iter().find(|target| target.name() == to) else {
                let names = listed(own.iter().map(|target| target.name().to_owned()));
                bail!("--map {name}={to}: there is no attribute `{to}`, but {names}");
            };
            if let Some(other) = taken.insert(to, name) {
                bail!("--map: `{other}` and `{name}` are both `{to}`");
            }
            columns.name(name, target.clone())?;
        }
        for name in ignored {
            columns.name(name, Target::Ignored)?;
        }
        Ok(columns)
    }

    fn add(&mut self, name: String, target: Target) {
        self.known.insert(name.clone(), Arc::new(Column::new(name, target)));
    }

    fn name(&mut self, name: &str, target: Target) -> anyhow::Result<()> {
        ensure!(!self.named.iter().any(|known| known == name), "column `{name}` is given twice");
        self.named.push(name.to_owned());
        self.add(name.to_owned(), target);
        Ok(())
    }

    /// What this column holds.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Column>> {
        self.known.get(name)
    }

    /// The columns of a header, of which each must be known. The header's names are repeated only if it is one: else it may be a person.
    pub(super) fn of_header(&self, header: &[String]) -> anyhow::Result<Vec<Arc<Column>>> {
        let is_username =
            |name: &String| self.get(name).is_some_and(|column| column.target == Target::Username);
        if !header.iter().any(is_username) {
            if let [one] = header
                && let Some(delimiter) =
                    [';', '\t', ',', '|'].into_iter().find(|one_of| one.contains(*one_of))
            {
                let delimiter = if delimiter == '\t' { "tab".to_owned() } else { format!("'{delimiter}'") };
                bail!(
                    "the first line is one single column. Is the delimiter another one? --delimiter {delimiter}"
                );
            }
            bail!(
                "no column of the first line is `username`. It has to name the columns; --map COLUMN=username says which one it is"
            );
        }
        let missing: Vec<_> = self.named.iter().filter(|name| !header.contains(name)).collect();
        let missing = missing.into_iter().map(|name| one_line(name));
        ensure!(missing.len() == 0, "the first line has no column {}", listed(missing));
        let there = header.iter().filter_map(|name| self.get(name));
        there.for_each(|column| column.was_there.store(true, Relaxed));
        let mut unknown = Vec::new();
        let mut columns: Vec<Arc<Column>> = Vec::with_capacity(header.len());
        for name in header {
            let nameless = || Arc::new(Column::new(String::new(), Target::Nameless));
            match self.get(name) {
                Some(column) => columns.push(column.clone()),
                None if name.is_empty() => columns.push(nameless()),
                None => unknown.push(name),
            }
        }
        if !unknown.is_empty() {
            bail!(
                "the first line has columns that are not known here: {}. --map COLUMN=ATTRIBUTE says what one is, --ignore COLUMN leaves it \
                 out. Attributes are {}",
                listed(unknown.iter().map(|name| shown(name))),
                listed(self.own().iter().map(|name| (*name).to_owned()))
            );
        }
        let mut taken: HashMap<&str, &Column> = HashMap::new();
        for column in columns.iter().filter(|column| column.is_wanted()) {
            if let Some(other) = taken.insert(column.target.name(), column) {
                let (one, other) = (shown(&other.name), shown(&column.name));
                bail!(
                    "the columns `{one}` and `{other}` of the first line are both `{}`",
                    column.target.name()
                );
            }
        }
        Ok(columns)
    }

    /// Those that the operator named and that no line had, as far as the file was read.
    pub(super) fn never_there(&self) -> Option<String> {
        let is_there = |name: &String| self.get(name).is_some_and(|column| column.was_there.load(Relaxed));
        let missing: Vec<_> = self.named.iter().filter(|name| !is_there(name)).collect();
        (!missing.is_empty()).then(|| listed(missing.into_iter().map(|name| one_line(name))))
    }

    /// The names of attributes, whatever the file calls them.
    fn own(&self) -> Vec<&str> {
        let names = self.known.values().filter_map(|column| match &column.target {
            Target::Attribute(attribute) => Some(attribute.name()),
            _ => None,
        });
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What the file calls a field of users.
    pub(super) fn name_of<'a>(&'a self, field: &'a str) -> &'a str {
        let mut named = self.named.iter().filter_map(|name| self.get(name));
        named.find(|column| column.target.name() == field).map_or(field, |column| &column.name)
    }
}

impl Column {
    fn new(name: String, target: Target) -> Self {
        Self { name, target, was_there: AtomicBool::new(false) }
    }

    fn is_wanted(&self) -> bool {
        !matches!(self.target, Target::Ignored | Target::Nameless)
    }

    /// Whether both hold the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.is_wanted() && self.target == other.target
    }
}

impl Target {
    fn name(&self) -> &str {
        match self {
            Self::Id => "id",
            Self::Username => "username",
            Self::Attribute(attribute) => attribute.name(),
            Self::Ignored | Self::Nameless => "",
        }
    }
}

/// A column's name as it is printed, unless it may be somebody's address or number: a file may have anything there.
pub(super) fn shown(name: &str) -> String {
    const MOST: usize = 64;
    let is_name = name.starts_with(char::is_alphabetic) && !name.contains('@');
    if is_name && name.chars().count() <= MOST { one_line(name) } else { "(not printed)".to_owned() }
}

fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    const MOST: usize = 20;
    let more = names.len().saturating_sub(MOST);
    let mut text: Vec<_> = names.take(MOST).map(|name| format!("`{name}`")).collect();
    if more > 0 {
        text.push(format!("{more} more"));
    }
    text.join(", ")
}
