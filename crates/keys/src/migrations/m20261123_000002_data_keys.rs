use sea_orm_migration::{
    prelude::*,
    schema::{binary, integer, string_len, timestamp_with_time_zone, timestamp_with_time_zone_null, uuid},
};

/// `data_keys`: every subject's wrapped data keys.
///
/// No foreign key to `users`: any table may hold data about a subject, and the table can move to a
/// database of its own.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// An AWS KMS key ARN has at most 2,048 characters.
const KEK_ID_LENGTH: u32 = 2048;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(DataKeys::Table)
            .col(uuid(DataKeys::SubjectId))
            .col(integer(DataKeys::Version))
            .col(string_len(DataKeys::KekId, KEK_ID_LENGTH))
            .col(binary(DataKeys::Wrapped))
            .col(timestamp_with_time_zone(DataKeys::CreatedAt))
            .col(timestamp_with_time_zone_null(DataKeys::RewrappedAt))
            .primary_key(Index::create().col(DataKeys::SubjectId).col(DataKeys::Version))
            .to_owned();
        manager.create_table(table).await?;
        // A rotation walks one wrapping key's data keys in the order of their subjects.
        let index = Index::create()
            .name("data_keys_kek_id_subject_id")
            .table(DataKeys::Table)
            .col(DataKeys::KekId)
            .col(DataKeys::SubjectId)
            .to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(DataKeys::Table).to_owned()).await
    }
}

#[derive(DeriveIden)]
enum DataKeys {
    Table,
    SubjectId,
    Version,
    KekId,
    Wrapped,
    CreatedAt,
    RewrappedAt,
}
