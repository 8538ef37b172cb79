//! The fastest way into PostgreSQL that there is: COPY of the same rows, a thousand people in one transaction.

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use sea_orm::sqlx::{PgPool, postgres::PgPoolCopyExt};

use crate::{TABLES, bare::BATCH};

/// What each transaction copies: tables with their lines.
pub(crate) struct Copied(Vec<Vec<(&'static str, Vec<u8>)>>);

/// Reads what an import of so many people wrote.
pub(crate) async fn read(db: &PgPool, people: usize) -> anyhow::Result<Copied> {
    let batches = people.div_ceil(BATCH);
    let mut transactions = vec![Vec::new(); batches];
    for table in TABLES {
        let statement = format!("COPY (SELECT * FROM {table} ORDER BY ctid) TO STDOUT");
        let mut lines = Vec::new();
        let mut copying = db.copy_out_raw(&statement).await?;
        while let Some(some) = copying.try_next().await? {
            lines.extend_from_slice(&some);
        }
        let lines: Vec<_> = lines.split_inclusive(|byte| *byte == b'\n').collect();
        if lines.is_empty() {
            continue;
        }
        let size = lines.len().div_ceil(batches);
        for (transaction, lines) in transactions.iter_mut().zip(lines.chunks(size)) {
            transaction.push((table, lines.concat()));
        }
    }
    Ok(Copied(transactions))
}

/// Writes it to another database.
pub(crate) async fn write(db: &PgPool, rows: &Copied) -> anyhow::Result<Duration> {
    let began = Instant::now();
    for tables in &rows.0 {
        let mut transaction = db.begin().await?;
        for (table, lines) in tables {
            let mut copying = transaction.copy_in_raw(&format!("COPY {table} FROM STDIN")).await?;
            copying.send(lines.as_slice()).await?;
            copying.finish().await?;
        }
        transaction.commit().await?;
    }
    Ok(began.elapsed())
}
