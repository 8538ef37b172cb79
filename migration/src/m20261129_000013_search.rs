use sea_orm_migration::{
    prelude::*,
    schema::{binary_len, boolean, integer, small_integer, string_len, text, timestamp_with_time_zone, uuid},
    sea_orm::{DbBackend, prelude::Uuid},
};

/// `blind_indexes`: the tags by which values are found again; `search_indexes`: what each attribute's were built with; `search_head`: which
/// state of these it is.
///
/// The head is one row, which whoever writes tags locks and compares, and whoever changes the indexes gives another random number.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const ATTRIBUTE_LENGTH: u32 = 40;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut tags = Table::create()
            .table(BlindIndexes::Table)
            .col(string_len(BlindIndexes::Attribute, ATTRIBUTE_LENGTH))
            .col(integer(BlindIndexes::Epoch))
            .col(binary_len(BlindIndexes::Tag, 16))
            .col(uuid(BlindIndexes::Holder))
            .col(uuid(BlindIndexes::SubjectId))
            .primary_key(
                Index::create()
                    .col(BlindIndexes::Attribute)
                    .col(BlindIndexes::Epoch)
                    .col(BlindIndexes::Tag)
                    .col(BlindIndexes::Holder),
            )
            .to_owned();
        if manager.get_database_backend() == DbBackend::Sqlite {
            // The primary key is nearly the whole row, which would be stored twice.
            tags.extra("WITHOUT ROWID");
        }
        manager.create_table(tags).await?;
        // Whoever is forgotten is found here without a key; and a sweep sees who has no tag yet.
        let of_subject = Index::create()
            .name("blind_indexes_subject")
            .table(BlindIndexes::Table)
            .col(BlindIndexes::SubjectId)
            .col(BlindIndexes::Attribute)
            .col(BlindIndexes::Epoch)
            .to_owned();
        manager.create_index(of_subject).await?;
        let indexes = Table::create()
            .table(SearchIndexes::Table)
            .col(string_len(SearchIndexes::Attribute, ATTRIBUTE_LENGTH))
            .col(integer(SearchIndexes::Epoch))
            .col(uuid(SearchIndexes::Id).unique_key())
            .col(text(SearchIndexes::Rules))
            .col(boolean(SearchIndexes::IsUnique))
            .col(string_len(SearchIndexes::State, 16))
            .col(timestamp_with_time_zone(SearchIndexes::CreatedAt))
            .primary_key(Index::create().col(SearchIndexes::Attribute).col(SearchIndexes::Epoch))
            .to_owned();
        manager.create_table(indexes).await?;
        let head = Table::create()
            .table(SearchHead::Table)
            .col(small_integer(SearchHead::Id).primary_key())
            .col(uuid(SearchHead::Generation))
            .to_owned();
        manager.create_table(head).await?;
        let first = Query::insert()
            .into_table(SearchHead::Table)
            .columns([SearchHead::Id, SearchHead::Generation])
            .values_panic([1.into(), Uuid::now_v7().into()])
            .to_owned();
        manager.execute(first).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(SearchHead::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(SearchIndexes::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(BlindIndexes::Table).to_owned()).await
    }
}

#[derive(DeriveIden)]
enum BlindIndexes {
    Table,
    Attribute,
    Epoch,
    Tag,
    Holder,
    SubjectId,
}

#[derive(DeriveIden)]
enum SearchIndexes {
    Table,
    Attribute,
    Epoch,
    Id,
    Rules,
    IsUnique,
    State,
    CreatedAt,
}

#[derive(DeriveIden)]
enum SearchHead {
    Table,
    Id,
    Generation,
}
