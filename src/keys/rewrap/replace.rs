use chrono::Utc;
use sea_orm::{
    DatabaseConnection, DbBackend, DbErr,
    sqlx::{self, Postgres, QueryBuilder, Sqlite},
};
use uuid::Uuid;

use super::chore::Moved;
use crate::keys::{KekId, store};

/// Statements are made by hand here: SeaORM has neither arrays for `unnest` nor `UPDATE … FROM (VALUES …)`.
const ON_POSTGRES: &str = "UPDATE data_keys SET kek_id = $1, wrapped = moved.new, rewrapped_at = $2 \
    FROM unnest($3::uuid[], $4::int4[], $5::bytea[], $6::bytea[]) AS moved(subject_id, version, old, new) \
    WHERE data_keys.subject_id = moved.subject_id AND data_keys.version = moved.version \
    AND data_keys.wrapped = moved.old";

/// SQLite permits 32,766 values in one statement; each data key has four.
const CHUNK_ON_SQLITE: usize = 4000;

/// Stores the new wrappings of data keys that still have the old ones, in one statement, and gives their number.
pub(super) async fn replace(db: &DatabaseConnection, to: &KekId, moved: &[Moved]) -> Result<u64, DbErr> {
    if moved.is_empty() {
        return Ok(0);
    }
    let stored = match db.get_database_backend() {
        DbBackend::Postgres => on_postgres(db, to, moved).await,
        _ => on_sqlite(db, to, moved).await,
    };
    stored.map_err(|error| DbErr::Query(sea_orm::RuntimeErr::SqlxError(error.into())))
}

async fn on_postgres(db: &DatabaseConnection, to: &KekId, moved: &[Moved]) -> Result<u64, sqlx::Error> {
    let subjects: Vec<Uuid> = moved.iter().map(|moved| moved.id.subject.into()).collect();
    let versions: Vec<i32> = moved.iter().map(version).collect();
    let old: Vec<&[u8]> = moved.iter().map(|moved| &*moved.old.bytes).collect();
    let new: Vec<&[u8]> = moved.iter().map(|moved| &*moved.new.bytes).collect();
    let update = sqlx::query::<Postgres>(ON_POSTGRES)
        .bind(to.as_str())
        .bind(Utc::now())
        .bind(subjects)
        .bind(versions)
        .bind(old)
        .bind(new);
    Ok(update.execute(db.get_postgres_connection_pool()).await?.rows_affected())
}

async fn on_sqlite(db: &DatabaseConnection, to: &KekId, moved: &[Moved]) -> Result<u64, sqlx::Error> {
    let mut stored = 0;
    for chunk in moved.chunks(CHUNK_ON_SQLITE) {
        let mut update = QueryBuilder::<Sqlite>::new("WITH moved(subject_id, version, old, new) AS (");
        update.push_values(chunk, |mut row, moved| {
            row.push_bind(Uuid::from(moved.id.subject))
                .push_bind(version(moved))
                .push_bind(&*moved.old.bytes)
                .push_bind(&*moved.new.bytes);
        });
        update
            .push(") UPDATE data_keys SET wrapped = moved.new, kek_id = ")
            .push_bind(to.as_str())
            .push(", rewrapped_at = ")
            .push_bind(Utc::now())
            .push(
                " FROM moved WHERE data_keys.subject_id = moved.subject_id \
                 AND data_keys.version = moved.version AND data_keys.wrapped = moved.old",
            );
        stored += update.build().execute(db.get_sqlite_connection_pool()).await?.rows_affected();
    }
    Ok(stored)
}

/// As the column has it.
fn version(moved: &Moved) -> i32 {
    store::version_column(moved.id.version).unwrap_or(i32::MAX)
}
