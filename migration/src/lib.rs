//! Oubliette's database schema, as SeaORM migrations for SQLite and PostgreSQL.
//!
//! One file a migration, named by its date. A migration that has been released is never changed. Those of the tables that
//! `oubliette-keys` owns are there.

mod m20261123_000001_users;
mod m20261123_000003_erasures;
mod m20261124_000005_audit;
mod m20261124_000006_access_tokens;
mod m20261128_000008_ledger_rollbacks;
mod m20261128_000009_audit_2;
mod m20261128_000010_audit_groups;
mod m20261129_000011_personal_values;
mod m20261129_000013_search;
mod m20261129_000014_ledger_sinks;
mod m20261129_000015_ledger_forms;

pub use sea_orm_migration::{self, MigratorTrait};
use sea_orm_migration::{MigrationTrait, async_trait};

/// Brings a database to the schema of this release.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    /// In the order of their names, whichever crate they are from.
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = oubliette_keys::migrations();
        migrations.push(Box::new(m20261123_000001_users::Migration));
        migrations.push(Box::new(m20261123_000003_erasures::Migration));
        migrations.push(Box::new(m20261124_000005_audit::Migration));
        migrations.push(Box::new(m20261124_000006_access_tokens::Migration));
        migrations.push(Box::new(m20261128_000008_ledger_rollbacks::Migration));
        migrations.push(Box::new(m20261128_000009_audit_2::Migration));
        migrations.push(Box::new(m20261128_000010_audit_groups::Migration));
        migrations.push(Box::new(m20261129_000011_personal_values::Migration));
        migrations.push(Box::new(m20261129_000013_search::Migration));
        migrations.push(Box::new(m20261129_000014_ledger_sinks::Migration));
        migrations.push(Box::new(m20261129_000015_ledger_forms::Migration));
        migrations.sort_by(|one, other| one.name().cmp(other.name()));
        migrations
    }
}
