use sea_orm_migration::{
    prelude::*,
    schema::{binary, string, uuid},
};

/// The crate's tables and the clinic's.
pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        oubliette_keys::migrations_and([Box::new(Tables) as _])
    }
}

struct Tables;

impl MigrationName for Tables {
    fn name(&self) -> &'static str {
        "m20261128_000001_clinic"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Tables {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut patients = Table::create();
        patients.table("patients").col(uuid("id").primary_key()).col(string("ward")).col(binary("name"));
        manager.create_table(patients).await?;
        let mut visits = Table::create();
        visits.table("visits").col(uuid("id").primary_key()).col(uuid("patient_id")).col(binary("note"));
        manager.create_table(visits).await?;
        let by_patient = Index::create().name("visits_patient_id").table("visits").col("patient_id").take();
        manager.create_index(by_patient).await
    }
}
