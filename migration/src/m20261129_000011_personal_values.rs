use sea_orm_migration::{
    prelude::*,
    schema::{binary, string_len, timestamp_with_time_zone, uuid},
};

/// `personal_values`: the values of attributes that an operator declared, sealed.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(PersonalValues::Table)
            .col(uuid(PersonalValues::SubjectId))
            .col(string_len(PersonalValues::Attribute, 40))
            .col(binary(PersonalValues::Sealed))
            .col(timestamp_with_time_zone(PersonalValues::UpdatedAt))
            .primary_key(Index::create().col(PersonalValues::SubjectId).col(PersonalValues::Attribute))
            .to_owned();
        manager.create_table(table).await?;
        // What is stored is asked for by attribute: which there are, how many values, and all of one.
        let by_attribute = Index::create()
            .name("personal_values_attribute")
            .table(PersonalValues::Table)
            .col(PersonalValues::Attribute)
            .col(PersonalValues::SubjectId)
            .to_owned();
        manager.create_index(by_attribute).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(PersonalValues::Table).to_owned()).await
    }
}

#[derive(DeriveIden)]
enum PersonalValues {
    Table,
    SubjectId,
    Attribute,
    Sealed,
    UpdatedAt,
}
