//! The database, with the schema of this service: see [`oubliette_platform::database`] for the rest.

use migration::Migrator;
use sea_orm::DatabaseConnection;

use oubliette_platform::database as platform;
pub use oubliette_platform::database::*;

/// Brings the schema to this release's, and gives the names of the migrations that were made: other processes may make some of them.
///
/// # Errors
///
/// The database's error.
pub async fn migrate(db: &DatabaseConnection) -> Result<Vec<String>, DatabaseError> {
    platform::migrate::<Migrator>(db).await
}

/// The same. If it takes long until others are done, tells so.
///
/// # Errors
///
/// The same.
pub async fn migrate_telling(
    db: &DatabaseConnection,
    tell: impl Fn(&'static str),
) -> Result<Vec<String>, DatabaseError> {
    platform::migrate_telling::<Migrator>(db, tell).await
}

/// The names of the migrations that are still to be done. Changes nothing.
///
/// # Errors
///
/// [`DatabaseError::Migrate`]; also if the database is newer than this release.
pub async fn pending_migrations(db: &DatabaseConnection) -> Result<Vec<String>, DatabaseError> {
    platform::pending_migrations::<Migrator>(db).await
}

/// Refuses a schema that is not this release's.
///
/// # Errors
///
/// [`DatabaseError::Outdated`] says what to run.
pub async fn require_current_schema(db: &DatabaseConnection) -> Result<(), DatabaseError> {
    platform::require_current_schema::<Migrator>(db).await
}
