use sea_orm_migration::{
    prelude::*,
    schema::{
        binary_null, string_len, string_len_null, timestamp_with_time_zone, timestamp_with_time_zone_null,
    },
    sea_orm::DbBackend,
};

/// `wrapping_keys`: whether anything may still be wrapped under a wrapping key; `data_keys.id`: a random identity, which no
/// rollback of the database repeats, as it does a version; `data_keys.commitment`: nothing yet.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// As `data_keys.kek_id`.
const KEK_ID_LENGTH: u32 = 2048;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(WrappingKeys::Table)
            .col(string_len(WrappingKeys::KekId, KEK_ID_LENGTH).primary_key())
            .col(string_len_null(WrappingKeys::Backend, 255))
            .col(string_len(WrappingKeys::State, 16))
            .col(timestamp_with_time_zone(WrappingKeys::FirstUsedAt))
            .col(timestamp_with_time_zone_null(WrappingKeys::RetiringAt))
            .col(timestamp_with_time_zone_null(WrappingKeys::RetiredAt))
            .to_owned();
        manager.create_table(table).await?;
        let used = Query::select()
            .column(DataKeys::KekId)
            .expr(Expr::val("active"))
            .expr(Expr::col(DataKeys::CreatedAt).min())
            .from(DataKeys::Table)
            .group_by_col(DataKeys::KekId)
            .to_owned();
        let fill = Query::insert()
            .into_table(WrappingKeys::Table)
            .columns([WrappingKeys::KekId, WrappingKeys::State, WrappingKeys::FirstUsedAt])
            .select_from(used)
            .map_err(|error| DbErr::Migration(error.to_string()))?
            .to_owned();
        manager.execute(fill).await?;

        let db = manager.get_connection();
        if db.get_database_backend() == DbBackend::Postgres {
            // A volatile default gives each old row a value of its own, in one pass; and what a server of the release before
            // still adds.
            let add = "ALTER TABLE data_keys ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid()";
            db.execute_unprepared(add).await?;
        } else {
            // SQLite takes no such default. An empty one is no UUID: a row that was written without an id does not parse.
            db.execute_unprepared("ALTER TABLE data_keys ADD COLUMN id uuid_text NOT NULL DEFAULT x''")
                .await?;
            db.execute_unprepared("UPDATE data_keys SET id = randomblob(16)").await?;
        }
        let unique =
            Index::create().name("data_keys_id").table(DataKeys::Table).col(DataKeys::Id).unique().to_owned();
        manager.create_index(unique).await?;
        let commitment =
            Table::alter().table(DataKeys::Table).add_column(binary_null(DataKeys::Commitment)).to_owned();
        manager.alter_table(commitment).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name("data_keys_id").table(DataKeys::Table).to_owned()).await?;
        for column in [DataKeys::Id, DataKeys::Commitment] {
            manager.alter_table(Table::alter().table(DataKeys::Table).drop_column(column).to_owned()).await?;
        }
        manager.drop_table(Table::drop().table(WrappingKeys::Table).to_owned()).await
    }
}

#[derive(DeriveIden)]
enum WrappingKeys {
    Table,
    KekId,
    Backend,
    State,
    FirstUsedAt,
    RetiringAt,
    RetiredAt,
}

#[derive(DeriveIden)]
enum DataKeys {
    Table,
    KekId,
    CreatedAt,
    Id,
    Commitment,
}
