use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary, string_len, text, timestamp_with_time_zone, uuid, uuid_null},
    sea_orm::DbBackend,
};

/// `erasures.form`: how the text of an entry begins; `erasures.target_id`: what an entry is about that is about no subject. `erasure_head.entry_version`: 2 if entries may be written that releases before this one do not read. On a new database
/// they may; else an operator says so, once no server of such a release runs.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What all entries were until now.
const FIRST: &str = "oubliette erasure 1";

/// Where the entries are while a table is made anew.
const OLD: &str = "erasures_before";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if db.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared(&format!(
                "ALTER TABLE erasures ADD COLUMN form varchar(64) NOT NULL DEFAULT '{FIRST}', \
                 ADD COLUMN target_id uuid, ALTER COLUMN subject_id DROP NOT NULL"
            ))
            .await?;
        } else {
            // SQLite does not change a column.
            let mut subject = uuid_null(Erasures::SubjectId);
            let form = string_len(Erasures::Form, 64).default(FIRST).to_owned();
            renew(manager, subject.unique_key(), vec![form, uuid_null(Erasures::TargetId)]).await?;
        }
        // Few entries among many.
        db.execute_unprepared(
            "CREATE UNIQUE INDEX erasures_target ON erasures (target_id) WHERE target_id IS NOT NULL",
        )
        .await?;
        db.execute_unprepared(
            "ALTER TABLE erasure_head ADD COLUMN entry_version smallint NOT NULL DEFAULT 1",
        )
        .await?;
        // Nobody has read anything.
        let new = "UPDATE erasure_head SET entry_version = 2 WHERE sequence = 0 AND NOT EXISTS (SELECT 1 FROM users)";
        db.execute_unprepared(new).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared("ALTER TABLE erasure_head DROP COLUMN entry_version").await?;
        if db.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared(
                "ALTER TABLE erasures DROP COLUMN form, DROP COLUMN target_id, ALTER COLUMN subject_id SET NOT NULL",
            )
            .await
            .map(drop)
        } else {
            renew(manager, uuid(Erasures::SubjectId).unique_key(), Vec::new()).await
        }
    }
}

/// Makes the table anew, with all that was in it.
async fn renew(
    manager: &SchemaManager<'_>,
    subject: &mut ColumnDef,
    more: Vec<ColumnDef>,
) -> Result<(), DbErr> {
    let db = manager.get_connection();
    db.execute_unprepared(&format!("ALTER TABLE erasures RENAME TO {OLD}")).await?;
    let mut table = Table::create()
        .table(Erasures::Table)
        .col(big_integer(Erasures::Sequence).primary_key())
        .col(subject)
        .col(timestamp_with_time_zone(Erasures::ErasedAt))
        .col(string_len(Erasures::Actor, 255))
        .col(text(Erasures::DestroyedKeys))
        .col(binary(Erasures::PreviousDigest))
        .col(binary(Erasures::Digest))
        .to_owned();
    for column in more {
        table.col(column);
    }
    manager.create_table(table).await?;
    let columns = "sequence, subject_id, erased_at, actor, destroyed_keys, previous_digest, digest";
    db.execute_unprepared(&format!("INSERT INTO erasures ({columns}) SELECT {columns} FROM {OLD}")).await?;
    db.execute_unprepared(&format!("DROP TABLE {OLD}")).await.map(drop)
}

#[derive(DeriveIden)]
enum Erasures {
    Table,
    Sequence,
    Form,
    SubjectId,
    TargetId,
    ErasedAt,
    Actor,
    DestroyedKeys,
    PreviousDigest,
    Digest,
}
