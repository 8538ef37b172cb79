use sea_orm_migration::{
    prelude::*,
    schema::{binary, integer, string_len, timestamp_with_time_zone, timestamp_with_time_zone_null, uuid},
};

/// `index_keys`: what makes the tags by which values are found again, one for each epoch, wrapped.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// As `data_keys.kek_id`.
const KEK_ID_LENGTH: u32 = 2048;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(IndexKeys::Table)
            .col(integer(IndexKeys::Epoch).primary_key())
            .col(uuid(IndexKeys::Id).unique_key())
            .col(string_len(IndexKeys::KekId, KEK_ID_LENGTH))
            .col(binary(IndexKeys::Wrapped))
            .col(timestamp_with_time_zone(IndexKeys::CreatedAt))
            .col(timestamp_with_time_zone_null(IndexKeys::RewrappedAt))
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(IndexKeys::Table).to_owned()).await
    }
}

#[derive(DeriveIden)]
enum IndexKeys {
    Table,
    Epoch,
    Id,
    KekId,
    Wrapped,
    CreatedAt,
    RewrappedAt,
}
