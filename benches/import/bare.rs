//! The least that any tool has to do: INSERT the same rows, a thousand people in one transaction, each table's in one statement.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement, TransactionTrait};

/// People in one transaction: as an import has them.
pub(crate) const BATCH: usize = 1000;

/// The statements of each transaction, ready to be sent.
pub(crate) struct Rows(Vec<Vec<String>>);

/// Reads what was written of so many people to these tables.
pub(crate) async fn read(db: &DatabaseConnection, people: usize, tables: &[&str]) -> Result<Rows, DbErr> {
    let batches = people.div_ceil(BATCH);
    let mut transactions = vec![Vec::new(); batches];
    for table in tables {
        let rows = literals(db, table).await?;
        if rows.is_empty() {
            continue;
        }
        let size = rows.len().div_ceil(batches);
        for (transaction, rows) in transactions.iter_mut().zip(rows.chunks(size)) {
            transaction.push(format!("INSERT INTO {table} VALUES {}", rows.join(",")));
        }
    }
    Ok(Rows(transactions))
}

/// Writes it to another database.
pub(crate) async fn write(db: &DatabaseConnection, rows: &Rows) -> Result<Duration, DbErr> {
    let began = Instant::now();
    for statements in &rows.0 {
        let transaction = db.begin().await?;
        for statement in statements {
            transaction.execute_unprepared(statement).await?;
        }
        transaction.commit().await?;
    }
    Ok(began.elapsed())
}

/// The rows of a table as SQL has them, in the order in which they were written.
async fn literals(db: &DatabaseConnection, table: &str) -> Result<Vec<String>, DbErr> {
    let backend = db.get_database_backend();
    let (columns, quote, order) = match backend {
        DbBackend::Postgres => (
            format!(
                "SELECT column_name::text FROM information_schema.columns WHERE table_name = '{table}' ORDER BY ordinal_position"
            ),
            "quote_nullable(\"{}\"::text)",
            "ORDER BY ctid",
        ),
        _ => (format!("SELECT name FROM pragma_table_info('{table}')"), "quote(\"{}\")", ""),
    };
    let columns = db.query_all_raw(Statement::from_string(backend, columns)).await?;
    let names: Vec<String> = columns.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let cells: Vec<_> = names.iter().map(|name| quote.replace("{}", name)).collect();
    let select = format!("SELECT '(' || {} || ')' FROM {table} {order}", cells.join(" || ',' || "));
    let rows = db.query_all_raw(Statement::from_string(backend, select)).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}
