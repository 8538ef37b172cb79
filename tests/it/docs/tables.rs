use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use super::Page;
use crate::harness::Sandbox;

async fn names(db: &DatabaseConnection, sql: &str) -> BTreeSet<String> {
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
    rows.iter().map(|row| row.try_get::<String>("", "name").unwrap()).collect()
}

/// What stands between backticks, but for what is in parentheses.
fn quoted(cell: &str) -> BTreeSet<String> {
    let bare = Regex::new(r"\([^)]*\)").unwrap().replace_all(cell, "").into_owned();
    let bare = bare.split(": [").next().unwrap().to_owned();
    bare.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_table_and_column_is_in_the_manual_and_no_other() {
    let sandbox = Sandbox::new();
    sandbox.admin(&["migrate"]);
    let path = sandbox.path("data/oubliette.db");
    let db = sea_orm::Database::connect(format!("sqlite://{}", path.display())).await.unwrap();
    let mut tables =
        names(&db, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").await;
    assert!(tables.remove("seaql_migrations"));
    let mut stored = BTreeMap::new();
    for table in tables {
        let columns = names(&db, &format!("SELECT name FROM pragma_table_info('{table}')")).await;
        stored.insert(table, columns);
    }

    let mut documented = BTreeMap::new();
    let rows = Page::read("docs/architecture.md").rows(["table", "columns"]);
    for [table, columns] in &rows {
        for table in quoted(table) {
            documented.insert(table, quoted(columns));
        }
    }
    // What processes have in hand for a moment: their columns are told nowhere.
    for table in ["key_operations", "key_claims", "key_claim_turn"] {
        assert!(documented.remove(table).is_some() && stored.remove(table).is_some(), "{table}");
    }
    // On PostgreSQL only.
    assert!(documented.remove("migration_turn").is_some());
    assert_eq!(documented, stored);

    let audit = Page::read("docs/audit.md").rows(["column", "what it holds"]);
    let columns: BTreeSet<_> = audit.iter().flat_map(|[column, _]| quoted(column)).collect();
    assert_eq!(columns, stored["audit_events"]);
}
