use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement, Value};
use uuid::Uuid;

use super::task::Moved;
use crate::{
    KekId, NotStored,
    database::{WriteTransaction, begin_write, now},
    store, wrapping_keys,
};

/// Statements are made by hand here: SeaORM has neither arrays for `unnest` nor `UPDATE … FROM (VALUES …)`.
const ON_POSTGRES: &str = "UPDATE data_keys SET kek_id = $1, wrapped = moved.new, rewrapped_at = clock_timestamp() \
    FROM unnest($2::uuid[], $3::int4[], $4::bytea[], $5::bytea[]) AS moved(subject_id, version, old, new) \
    WHERE data_keys.subject_id = moved.subject_id AND data_keys.version = moved.version \
    AND data_keys.wrapped = moved.old";

/// SQLite permits 32,766 values in one statement; each data key has four.
const CHUNK_ON_SQLITE: usize = 4000;

/// Stores the new wrappings of data keys that still have the old ones, in one transaction, and gives their number. Those that
/// come under one wrapping key stand together in `moved`.
///
/// # Errors
///
/// [`NotStored`]; then none is stored.
pub(super) async fn replace(
    db: &DatabaseConnection,
    backend: &str,
    moved: &[Moved],
) -> Result<u64, NotStored> {
    if moved.is_empty() {
        return Ok(0);
    }
    let transaction = begin_write(db).await?;
    let mut stored = 0;
    let groups = || moved.chunk_by(|one, other| one.new.kek_id == other.new.kek_id);
    for group in groups() {
        let to = &group[0].new.kek_id;
        stored += match db.get_database_backend() {
            DbBackend::Postgres => on_postgres(&transaction, to, group).await?,
            _ => on_sqlite(&transaction, to, group).await?,
        };
    }
    // Last, as everywhere: the wrapping keys' own rows.
    for group in groups() {
        if let Err(refused) = wrapping_keys::require_active(&transaction, &group[0].new.kek_id, backend).await
        {
            transaction.rollback().await?;
            return Err(refused);
        }
    }
    transaction.commit().await?;
    Ok(stored)
}

async fn on_postgres(transaction: &WriteTransaction, to: &KekId, moved: &[Moved]) -> Result<u64, DbErr> {
    let subjects: Vec<Uuid> = moved.iter().map(|moved| moved.id.subject.into()).collect();
    let versions: Vec<i32> = moved.iter().map(version).collect();
    let old: Vec<Vec<u8>> = moved.iter().map(|moved| moved.old.bytes.clone()).collect();
    let new: Vec<Vec<u8>> = moved.iter().map(|moved| moved.new.bytes.clone()).collect();
    let values: [Value; 5] = [to.as_str().into(), subjects.into(), versions.into(), old.into(), new.into()];
    let update = Statement::from_sql_and_values(DbBackend::Postgres, ON_POSTGRES, values);
    Ok(transaction.execute_raw(update).await?.rows_affected())
}

async fn on_sqlite(transaction: &WriteTransaction, to: &KekId, moved: &[Moved]) -> Result<u64, DbErr> {
    let mut stored = 0;
    for chunk in moved.chunks(CHUNK_ON_SQLITE) {
        let rows = vec!["(?, ?, ?, ?)"; chunk.len()].join(", ");
        let update = format!(
            "WITH moved(subject_id, version, old, new) AS (VALUES {rows}) \
             UPDATE data_keys SET wrapped = moved.new, kek_id = ?, rewrapped_at = ? FROM moved \
             WHERE data_keys.subject_id = moved.subject_id AND data_keys.version = moved.version \
             AND data_keys.wrapped = moved.old"
        );
        let values = chunk.iter().flat_map(|moved| -> [Value; 4] {
            let subject = Uuid::from(moved.id.subject);
            [
                subject.into(),
                version(moved).into(),
                moved.old.bytes.clone().into(),
                moved.new.bytes.clone().into(),
            ]
        });
        let values = values.chain([to.as_str().into(), now().into()]);
        let update = Statement::from_sql_and_values(DbBackend::Sqlite, update, values);
        stored += transaction.execute_raw(update).await?.rows_affected();
    }
    Ok(stored)
}

/// As the column has it.
fn version(moved: &Moved) -> i32 {
    store::version_column(moved.id.version).unwrap_or(i32::MAX)
}
