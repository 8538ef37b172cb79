//! Data keys, written to the database at once.

use futures::{StreamExt, TryStreamExt, stream};
use oubliette::{
    envelope::{DataKeyId, KeyVersion, SubjectId},
    keys::KeyBackend,
};
use sea_orm::sqlx::{PgPool, query};
use uuid::Uuid;

/// A data key, as it is stored.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: DataKeyId,
    pub(crate) wrapped: Vec<u8>,
}

/// Stores data keys of as many subjects, and gives them in the order of their ids.
pub(crate) async fn store(pool: &PgPool, backend: &dyn KeyBackend, count: usize) -> anyhow::Result<Vec<Row>> {
    let generate = |_| async {
        let id = DataKeyId { subject: SubjectId::generate(), version: KeyVersion::FIRST };
        let generated = backend.generate(&id.into()).await?;
        anyhow::Ok((generated.wrapped.kek_id, Row { id, wrapped: generated.wrapped.bytes }))
    };
    let generated: Vec<_> = stream::iter(0..count).map(generate).buffered(16).try_collect().await?;
    let mut rows = Vec::with_capacity(count);
    for (kek_id, row) in generated {
        rows.push((kek_id, row));
    }
    for chunk in rows.chunks(10_000) {
        let subjects: Vec<Uuid> = chunk.iter().map(|(_, row)| row.id.subject.into()).collect();
        let keks: Vec<&str> = chunk.iter().map(|(kek_id, _)| kek_id.as_str()).collect();
        let wrapped: Vec<&[u8]> = chunk.iter().map(|(_, row)| &*row.wrapped).collect();
        query(
            "INSERT INTO data_keys (subject_id, version, kek_id, wrapped, created_at) \
             SELECT subject, 1, kek, wrapped, now() \
             FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS row(subject, kek, wrapped)",
        )
        .bind(subjects)
        .bind(keks)
        .bind(wrapped)
        .execute(pool)
        .await?;
    }
    let mut rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    rows.sort_by_key(|row| *row.id.subject.as_uuid());
    Ok(rows)
}

/// As after a while: statistics are there, and nothing waits to be written or swept up.
pub(crate) async fn settle(pool: &PgPool) -> anyhow::Result<()> {
    for statement in ["VACUUM ANALYZE data_keys", "CHECKPOINT"] {
        query(statement).execute(pool).await?;
    }
    Ok(())
}
