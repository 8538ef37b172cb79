use sea_orm_migration::{
    MigrationName, MigrationTrait, SchemaManager, async_trait, prelude::Table, schema::binary_null,
    sea_orm::DbErr,
};

/// A migration that adds a column for sealed values to a table: binary, and NULL in the rows that are there.
///
/// ```
/// use oubliette_keys::SealedColumn;
///
/// # let _ =
/// SealedColumn { migration: "m20270102_000012_visits_diagnosis", table: "visits", column: "diagnosis" }
/// # ;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SealedColumn {
    /// The migration's name: it tells which were made already, and their order.
    pub migration: &'static str,
    /// The table.
    pub table: &'static str,
    /// The new column.
    pub column: &'static str,
}

impl MigrationName for SealedColumn {
    fn name(&self) -> &str {
        self.migration
    }
}

#[async_trait::async_trait]
impl MigrationTrait for SealedColumn {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let add = Table::alter().table(self.table).add_column(binary_null(self.column)).to_owned();
        manager.alter_table(add).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table(self.table).drop_column(self.column).to_owned()).await
    }
}
