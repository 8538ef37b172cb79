use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use super::Registry;

/// Binary columns of this crate's own tables. None of them holds a sealed value.
const OWN: [(&str, &str); 3] =
    [("data_keys", "wrapped"), ("data_keys", "commitment"), ("index_keys", "wrapped")];

const ON_POSTGRES: &str = "SELECT table_name::text, column_name::text FROM information_schema.columns \
    WHERE table_schema = current_schema() AND data_type = 'bytea' ORDER BY 1, 2";

const ON_SQLITE: &str = "SELECT tables.name, columns.name FROM sqlite_master AS tables \
    JOIN pragma_table_info(tables.name) AS columns \
    WHERE tables.type = 'table' AND (columns.type LIKE '%blob%' OR columns.type LIKE '%binary%') ORDER BY 1, 2";

/// The binary columns of the database that no registered entity has, as the database's own catalogue lists them, each as
/// `table.column`. `others` are those that are known to hold no sealed value.
///
/// Sealed values are binary, so a program that tests for an empty answer, right after its migrations, has registered
/// whatever it seals.
///
/// # Errors
///
/// The database's error.
pub async fn unregistered(
    db: &DatabaseConnection,
    registry: &Registry,
    others: &[(&str, &str)],
) -> Result<Vec<String>, DbErr> {
    let backend = db.get_database_backend();
    let catalogue = if backend == DbBackend::Postgres { ON_POSTGRES } else { ON_SQLITE };
    let mut found = Vec::new();
    for row in db.query_all_raw(Statement::from_string(backend, catalogue)).await? {
        let (table, column): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let is_known = OWN.iter().chain(others).any(|known| *known == (&*table, &*column));
        let is_registered = registry
            .tables()
            .iter()
            .any(|registered| registered.name() == table && registered.sealed_columns().contains(&&*column));
        if !is_known && !is_registered {
            found.push(format!("{table}.{column}"));
        }
    }
    Ok(found)
}
