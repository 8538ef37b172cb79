use std::collections::HashMap;

use anyhow::Context;
use sea_orm::sqlx::{
    self, ConnectOptions, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{
    columns::Columns,
    line::{Checked, Problem},
};

/// Where each username and each id of the file was first: outside of the memory, in a database of our own, whose file has no name any more
/// and which the operating system removes with this process.
#[derive(Debug)]
pub(super) struct Seen(SqliteConnection);

impl Seen {
    pub(super) async fn new() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir();
        let cannot = || {
            format!("a temporary file cannot be made in `{}` (TMPDIR is another folder)", folder.display())
        };
        let file = tempfile::NamedTempFile::new_in(&folder).with_context(cannot)?;
        let options = SqliteConnectOptions::new()
            .filename(file.path())
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off)
            .disable_statement_logging();
        let mut db = options.connect().await.with_context(cannot)?;
        let table = "CREATE TABLE seen (name TEXT PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID";
        sqlx::query(table).execute(&mut db).await.with_context(cannot)?;
        // The name goes, the open file stays.
        file.close().with_context(cannot)?;
        Ok(Self(db))
    }

    /// Notes down some lines, and says of those that come again where they were before.
    pub(super) async fn check(&mut self, lines: &mut [Checked], columns: &Columns) -> anyhow::Result<()> {
        let names = |line: &Checked| {
            let username = line.username.as_ref().map(|name| ("username", format!("name {}", name.as_str())));
            [username, line.id.map(|id| ("id", format!("id {id}")))].into_iter().flatten()
        };
        let all: Vec<_> =
            lines.iter().flat_map(|line| names(line).map(|(_, name)| (name, line.number))).collect();
        let all = serde_json::to_string(&all)?;
        let add = "INSERT OR IGNORE INTO seen SELECT value->>0, value->>1 FROM json_each($1) ORDER BY key";
        sqlx::query(add).bind(&all).execute(&mut self.0).await?;
        let find = "SELECT name, line FROM seen WHERE name IN (SELECT value->>0 FROM json_each($1))";
        let first: Vec<(String, i64)> = sqlx::query_as(find).bind(&all).fetch_all(&mut self.0).await?;
        let first: HashMap<_, _> = first.into_iter().collect();
        for line in lines {
            let own = i64::try_from(line.number)?;
            for (column, name) in names(line) {
                if let Some(first) = first.get(&name).filter(|first| **first != own) {
                    line.problems
                        .push(Problem::of(columns.name_of(column), format!("is that of line {first}, too")));
                }
            }
        }
        Ok(())
    }
}
