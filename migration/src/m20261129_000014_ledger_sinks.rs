use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, binary, small_integer, string_len, timestamp_with_time_zone,
        timestamp_with_time_zone_null, uuid, uuid_null,
    },
};

/// `ledger_publication`: how far the erasure ledger was signed, and when it was last at one with a sink; one row. `ledger_sinks`: who publishes to
/// each sink, and how far. `moved_erasures`: entries that have another place since the database went back and was brought forward again.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let publication = Table::create()
            .table(LedgerPublication::Table)
            .col(small_integer(LedgerPublication::Id).primary_key())
            .col(big_integer(LedgerPublication::SignedSequence))
            .col(timestamp_with_time_zone_null(LedgerPublication::ReachedAt))
            .to_owned();
        manager.create_table(publication).await?;
        let none = Query::insert()
            .into_table(LedgerPublication::Table)
            .columns([LedgerPublication::Id, LedgerPublication::SignedSequence])
            .values_panic([1.into(), 0.into()])
            .to_owned();
        manager.execute(none).await?;
        let sinks = Table::create()
            .table(LedgerSinks::Table)
            .col(string_len(LedgerSinks::Name, 255).primary_key())
            .col(big_integer(LedgerSinks::PublishedSequence))
            .col(uuid_null(LedgerSinks::Holder))
            .col(timestamp_with_time_zone_null(LedgerSinks::HeldUntil))
            .to_owned();
        manager.create_table(sinks).await?;
        let moved = Table::create()
            .table(MovedErasures::Table)
            .col(uuid(MovedErasures::Id).primary_key())
            .col(big_integer(MovedErasures::OldSequence))
            .col(binary(MovedErasures::OldDigest))
            .col(big_integer(MovedErasures::Sequence))
            .col(timestamp_with_time_zone(MovedErasures::MovedAt))
            .to_owned();
        manager.create_table(moved).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(MovedErasures::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(LedgerSinks::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(LedgerPublication::Table).to_owned()).await
    }
}

#[derive(DeriveIden)]
enum LedgerPublication {
    Table,
    Id,
    SignedSequence,
    ReachedAt,
}

#[derive(DeriveIden)]
enum LedgerSinks {
    Table,
    Name,
    PublishedSequence,
    Holder,
    HeldUntil,
}

#[derive(DeriveIden)]
enum MovedErasures {
    Table,
    Id,
    OldSequence,
    OldDigest,
    Sequence,
    MovedAt,
}
