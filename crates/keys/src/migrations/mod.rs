//! The tables of this crate. A migration that has been released is never changed, and neither is its name.

mod m20261123_000002_data_keys;
mod m20261124_000004_key_operations;
mod m20261128_000007_wrapping_keys;
mod m20261129_000012_index_keys;
mod sealed_column;

use sea_orm_migration::MigrationTrait;

pub use sealed_column::SealedColumn;

/// The migrations of this crate's tables and a program's own, in the order of their names, in which they are made.
#[must_use]
pub fn migrations_and(
    own: impl IntoIterator<Item = Box<dyn MigrationTrait>>,
) -> Vec<Box<dyn MigrationTrait>> {
    let mut all = migrations();
    all.extend(own);
    all.sort_by(|one, other| one.name().cmp(other.name()));
    all
}

/// The migrations of this crate's tables, in the order in which they are made. [`migrations_and`] puts them among a program's own.
#[must_use]
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(m20261123_000002_data_keys::Migration),
        Box::new(m20261124_000004_key_operations::Migration),
        Box::new(m20261128_000007_wrapping_keys::Migration),
        Box::new(m20261129_000012_index_keys::Migration),
    ]
}
