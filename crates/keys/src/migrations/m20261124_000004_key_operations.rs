use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, small_integer, string_len, string_len_null, timestamp_with_time_zone,
        timestamp_with_time_zone_null, uuid,
    },
};

/// `key_operations`: each run that went through many data keys; `key_claims`: which data keys a running one
/// deals with at the moment, so that several runs share the work; `key_claim_turn`: one row, locked while
/// a claim is made.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// As `data_keys.kek_id`.
const KEK_ID_LENGTH: u32 = 2048;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let operations = Table::create()
            .table(KeyOperations::Table)
            .col(uuid(KeyOperations::Id).primary_key())
            .col(string_len(KeyOperations::Kind, 16))
            .col(string_len(KeyOperations::Actor, 255))
            .col(string_len_null(KeyOperations::FromKek, KEK_ID_LENGTH))
            .col(string_len_null(KeyOperations::ToKek, KEK_ID_LENGTH))
            .col(timestamp_with_time_zone(KeyOperations::StartedAt))
            .col(timestamp_with_time_zone(KeyOperations::HeartbeatAt))
            .col(timestamp_with_time_zone_null(KeyOperations::EndedAt))
            .col(string_len_null(KeyOperations::Outcome, 16))
            .col(big_integer(KeyOperations::Planned))
            .col(big_integer(KeyOperations::Done))
            .col(big_integer(KeyOperations::Changed))
            .col(big_integer(KeyOperations::Failed))
            .to_owned();
        manager.create_table(operations).await?;
        let claims = Table::create()
            .table(KeyClaims::Table)
            .col(uuid(KeyClaims::Id).primary_key())
            .col(uuid(KeyClaims::OperationId))
            .col(uuid(KeyClaims::FirstSubjectId))
            .col(uuid(KeyClaims::LastSubjectId))
            .to_owned();
        manager.create_table(claims).await?;
        let turn = Table::create()
            .table(KeyClaimTurn::Table)
            .col(small_integer(KeyClaimTurn::Id).primary_key())
            .to_owned();
        manager.create_table(turn).await?;
        let only_row = Query::insert()
            .into_table(KeyClaimTurn::Table)
            .columns([KeyClaimTurn::Id])
            .values_panic([1.into()])
            .to_owned();
        manager.execute(only_row).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(KeyClaimTurn::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(KeyClaims::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(KeyOperations::Table).to_owned()).await
    }
}

#[derive(DeriveIden)]
enum KeyOperations {
    Table,
    Id,
    Kind,
    Actor,
    FromKek,
    ToKek,
    StartedAt,
    HeartbeatAt,
    EndedAt,
    Outcome,
    Planned,
    Done,
    Changed,
    Failed,
}

#[derive(DeriveIden)]
enum KeyClaims {
    Table,
    Id,
    OperationId,
    FirstSubjectId,
    LastSubjectId,
}

#[derive(DeriveIden)]
enum KeyClaimTurn {
    Table,
    Id,
}
