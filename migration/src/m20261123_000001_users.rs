use sea_orm_migration::{
    prelude::*,
    schema::{binary_null, string_len_uniq, timestamp_with_time_zone, uuid},
};

/// `users`: the username in the clear, every personal attribute sealed.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Users::Table)
            .col(uuid(Users::Id).primary_key())
            .col(string_len_uniq(Users::Username, 64))
            .col(binary_null(Users::EmailEncrypted))
            .col(binary_null(Users::PhoneEncrypted))
            .col(timestamp_with_time_zone(Users::CreatedAt))
            .col(timestamp_with_time_zone(Users::UpdatedAt))
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Users::Table).to_owned()).await
    }
}

#[derive(DeriveIden)]
enum Users {
    Table,
    Id,
    Username,
    EmailEncrypted,
    PhoneEncrypted,
    CreatedAt,
    UpdatedAt,
}
