//! Oubliette's database schema, as SeaORM migrations for SQLite and PostgreSQL.
//!
//! One file a migration, named by its date. A migration that has been released is never changed.

mod m20261123_000001_users;
mod m20261123_000002_data_keys;
mod m20261123_000003_erasures;
mod m20261124_000004_key_operations;
mod m20261124_000005_audit;
mod m20261124_000006_access_tokens;
mod m20261128_000007_wrapping_keys;
mod m20261128_000008_ledger_rollbacks;
mod m20261128_000009_audit_2;

pub use sea_orm_migration::{self, MigratorTrait};
use sea_orm_migration::{MigrationTrait, async_trait};

/// Brings a database to the schema of this release.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_users::Migration),
            Box::new(m20261123_000002_data_keys::Migration),
            Box::new(m20261123_000003_erasures::Migration),
            Box::new(m20261124_000004_key_operations::Migration),
            Box::new(m20261124_000005_audit::Migration),
            Box::new(m20261124_000006_access_tokens::Migration),
            Box::new(m20261128_000007_wrapping_keys::Migration),
            Box::new(m20261128_000008_ledger_rollbacks::Migration),
            Box::new(m20261128_000009_audit_2::Migration),
        ]
    }
}
