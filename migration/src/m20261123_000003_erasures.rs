use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, binary, small_integer, string_len, text, timestamp_with_time_zone, uuid_uniq},
};

/// `erasures`: the ledger of forgotten subjects, a hash chain; and `erasure_head`, its newest entry.
///
/// The head is one row, locked while an entry is appended, so that the chain has neither gaps nor
/// forks; it also shows a ledger whose tail was cut off.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ledger = Table::create()
            .table(Erasures::Table)
            .col(big_integer(Erasures::Sequence).primary_key())
            .col(uuid_uniq(Erasures::SubjectId))
            .col(timestamp_with_time_zone(Erasures::ErasedAt))
            .col(string_len(Erasures::Actor, 255))
            .col(text(Erasures::DestroyedKeys))
            .col(binary(Erasures::PreviousDigest))
            .col(binary(Erasures::Digest))
            .to_owned();
        manager.create_table(ledger).await?;
        let head = Table::create()
            .table(ErasureHead::Table)
            .col(small_integer(ErasureHead::Id).primary_key())
            .col(big_integer(ErasureHead::Sequence))
            .col(binary(ErasureHead::Digest))
            .to_owned();
        manager.create_table(head).await?;
        let genesis = Query::insert()
            .into_table(ErasureHead::Table)
            .columns([ErasureHead::Id, ErasureHead::Sequence, ErasureHead::Digest])
            .values_panic([1.into(), 0.into(), vec![0_u8; 32].into()])
            .to_owned();
        manager.execute(genesis).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(ErasureHead::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Erasures::Table).to_owned()).await
    }
}

#[derive(DeriveIden)]
enum Erasures {
    Table,
    Sequence,
    SubjectId,
    ErasedAt,
    Actor,
    DestroyedKeys,
    PreviousDigest,
    Digest,
}

#[derive(DeriveIden)]
enum ErasureHead {
    Table,
    Id,
    Sequence,
    Digest,
}
