use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, binary, string_len, string_len_null, timestamp_with_time_zone,
        timestamp_with_time_zone_null, uuid,
    },
};

/// `ledger_rollbacks`: the erasure ledger went back, as a server noticed; and who has adopted the ledger as it is since.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let rollbacks = Table::create()
            .table(LedgerRollbacks::Table)
            .col(uuid(LedgerRollbacks::Id).primary_key())
            .col(big_integer(LedgerRollbacks::SeenSequence))
            .col(binary(LedgerRollbacks::SeenDigest))
            .col(big_integer(LedgerRollbacks::FoundSequence))
            .col(binary(LedgerRollbacks::FoundDigest))
            .col(timestamp_with_time_zone(LedgerRollbacks::NoticedAt))
            .col(string_len(LedgerRollbacks::NoticedBy, 255))
            .col(timestamp_with_time_zone_null(LedgerRollbacks::AdoptedAt))
            .col(string_len_null(LedgerRollbacks::AdoptedBy, 255))
            .to_owned();
        manager.create_table(rollbacks).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(LedgerRollbacks::Table).to_owned()).await
    }
}

#[derive(DeriveIden)]
enum LedgerRollbacks {
    Table,
    Id,
    SeenSequence,
    SeenDigest,
    FoundSequence,
    FoundDigest,
    NoticedAt,
    NoticedBy,
    AdoptedAt,
    AdoptedBy,
}
