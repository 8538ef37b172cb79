use sea_orm_migration::{
    prelude::*,
    schema::{
        binary_uniq, integer_null, string, string_len, string_len_uniq, timestamp_with_time_zone,
        timestamp_with_time_zone_null, uuid, uuid_null,
    },
};

/// `access_tokens`: who may call the API, and what they may do. Of a token, only its hash is stored.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tokens = Table::create()
            .table(AccessTokens::Table)
            .col(uuid(AccessTokens::Id).primary_key())
            .col(string_len_uniq(AccessTokens::Name, 64))
            .col(binary_uniq(AccessTokens::TokenHash))
            .col(string(AccessTokens::Scopes))
            .col(uuid_null(AccessTokens::SubjectId))
            .col(integer_null(AccessTokens::SubjectsPerMinute))
            .col(string_len(AccessTokens::CreatedBy, 255))
            .col(timestamp_with_time_zone(AccessTokens::CreatedAt))
            .col(timestamp_with_time_zone_null(AccessTokens::ExpiresAt))
            .col(timestamp_with_time_zone_null(AccessTokens::LastUsedAt))
            .col(timestamp_with_time_zone_null(AccessTokens::RevokedAt))
            .to_owned();
        manager.create_table(tokens).await?;
        // A user's tokens go when the user is forgotten.
        let by_subject = Index::create()
            .name("access_tokens_subject_id")
            .table(AccessTokens::Table)
            .col(AccessTokens::SubjectId)
            .to_owned();
        manager.create_index(by_subject).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(AccessTokens::Table).to_owned()).await
    }
}

#[derive(DeriveIden)]
enum AccessTokens {
    Table,
    Id,
    Name,
    TokenHash,
    Scopes,
    SubjectId,
    SubjectsPerMinute,
    CreatedBy,
    CreatedAt,
    ExpiresAt,
    LastUsedAt,
    RevokedAt,
}
