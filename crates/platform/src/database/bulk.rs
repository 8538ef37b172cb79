use std::collections::HashSet;

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityName, EntityTrait, IdenStatic, Iterable, ModelTrait,
    QueryResult, RuntimeErr, Statement, Value,
    sea_query::{ArrayType, Expr, OnConflict, Query},
};
use uuid::Uuid;

use super::WriteTransaction;

/// SQLite permits so many values in one statement.
const MAX_VALUES_ON_SQLITE: usize = 32_766;

/// Inserts rows of one table together: on PostgreSQL in one statement, whose text does not depend on their number. Columns may hold ids,
/// texts, bytes, `i32` and moments.
///
/// # Errors
///
/// The database's error; then none is there once the transaction is undone. [`DbErr::Type`] for a column of another type; or if some of its
/// values are NULL and others are not, unless these are texts or bytes and none is empty.
pub async fn insert_together<'r, M: ModelTrait + 'r>(
    transaction: &WriteTransaction,
    rows: impl IntoIterator<Item = &'r M>,
) -> Result<(), DbErr> {
    insert::<M>(transaction, columns(rows), None).await.map(drop)
}

/// The same, of those rows that violate no unique column. Gives the ids, in the column `id`, of those that were inserted.
///
/// # Errors
///
/// The database's error.
pub async fn insert_new_together<'r, M: ModelTrait + 'r>(
    transaction: &WriteTransaction,
    rows: impl IntoIterator<Item = &'r M>,
    id: <M::Entity as EntityTrait>::Column,
) -> Result<HashSet<Uuid>, DbErr> {
    let inserted = insert::<M>(transaction, columns(rows), Some(id)).await?;
    inserted.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// The values of each column, in the order of the entity's.
fn columns<'r, M: ModelTrait + 'r>(rows: impl IntoIterator<Item = &'r M>) -> Vec<Vec<Value>> {
    let mut columns = vec![Vec::new(); ColumnOf::<M>::iter().count()];
    for row in rows {
        for (values, column) in columns.iter_mut().zip(ColumnOf::<M>::iter()) {
            values.push(row.get(column));
        }
    }
    columns
}

type ColumnOf<M> = <<M as ModelTrait>::Entity as EntityTrait>::Column;

async fn insert<M: ModelTrait>(
    transaction: &WriteTransaction,
    columns: Vec<Vec<Value>>,
    unless_known: Option<ColumnOf<M>>,
) -> Result<Vec<QueryResult>, DbErr> {
    if columns.first().is_none_or(Vec::is_empty) {
        return Ok(Vec::new());
    }
    match transaction.get_database_backend() {
        DbBackend::Postgres => {
            transaction.query_all_raw(by_arrays::<M>(columns, unless_known.map(|id| id.as_str()))?).await
        }
        _ => by_rows::<M>(transaction, columns, unless_known).await,
    }
}

/// By arrays, so that any number of rows is one text, which PostgreSQL parses once. Each array is a question of its own: what it holds is not
/// known to the planner, which would otherwise make another plan for each length.
fn by_arrays<M: ModelTrait>(
    columns: Vec<Vec<Value>>,
    unless_known: Option<&'static str>,
) -> Result<Statement, DbErr> {
    let (mut names, mut values, mut arrays, mut parameters) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (column, cells) in ColumnOf::<M>::iter().zip(columns) {
        let name = column.as_str();
        // Nothing but NULL, as it is without the column.
        let Some(array) = Array::of(name, cells)? else { continue };
        parameters.push(array.value);
        arrays.push(format!("(SELECT ${}::{}[])", parameters.len(), array.type_name));
        values.push(if array.has_nulls {
            format!("NULLIF(new.\"{name}\", '')")
        } else {
            format!("new.\"{name}\"")
        });
        names.push(format!("\"{name}\""));
    }
    let end =
        unless_known.map_or_else(String::new, |id| format!(" ON CONFLICT DO NOTHING RETURNING \"{id}\""));
    let table = <M::Entity as Default>::default().table_name().to_owned();
    let sql = format!(
        "INSERT INTO \"{table}\" ({names}) SELECT {} FROM unnest({}) AS new({names}){end}",
        values.join(", "),
        arrays.join(", "),
        names = names.join(", "),
    );
    Ok(Statement::from_sql_and_values(DbBackend::Postgres, sql, parameters))
}

/// The values of a column.
struct Array {
    type_name: &'static str,
    value: Value,
    /// They are empty in the array, which can hold none; no value of such a column is empty.
    has_nulls: bool,
}

impl Array {
    /// `None` if there is no value at all.
    fn of(name: &str, mut cells: Vec<Value>) -> Result<Option<Self>, DbErr> {
        let Some(first) = cells.iter().find(|cell| !is_null(cell)) else { return Ok(None) };
        let refused = || DbErr::Type(format!("column {name} cannot be inserted by arrays"));
        let (array, type_name) = match first {
            Value::Uuid(_) => (ArrayType::Uuid, "uuid"),
            Value::String(_) => (ArrayType::String, "text"),
            Value::Bytes(_) => (ArrayType::Bytes, "bytea"),
            Value::Int(_) => (ArrayType::Int, "int4"),
            Value::ChronoDateTimeUtc(_) => (ArrayType::ChronoDateTimeUtc, "timestamptz"),
            _ => return Err(refused()),
        };
        let empty = match array {
            ArrayType::Bytes => Some(Value::from(Vec::<u8>::new())),
            ArrayType::String => Some(Value::from("")),
            _ => None,
        };
        let has_nulls = cells.iter().any(is_null);
        if has_nulls && (empty.is_none() || cells.iter().any(|cell| Some(cell) == empty.as_ref())) {
            return Err(refused());
        }
        if let Some(empty) = empty {
            cells.iter_mut().filter(|cell| is_null(cell)).for_each(|cell| *cell = empty.clone());
        }
        Ok(Some(Self { type_name, value: Value::Array(array, Some(Box::new(cells))), has_nulls }))
    }
}

fn is_null(value: &Value) -> bool {
    *value == value.as_null()
}

/// Row by row, in as few statements as SQLite permits.
async fn by_rows<M: ModelTrait>(
    transaction: &WriteTransaction,
    columns: Vec<Vec<Value>>,
    unless_known: Option<ColumnOf<M>>,
) -> Result<Vec<QueryResult>, DbErr> {
    let number = columns.first().map_or(0, Vec::len);
    let most = MAX_VALUES_ON_SQLITE / columns.len();
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    let mut answered = Vec::new();
    for begin in (0..number).step_by(most) {
        let mut insert = Query::insert();
        insert.into_table(<M::Entity as Default>::default()).columns(ColumnOf::<M>::iter());
        for _ in begin..number.min(begin + most) {
            let row: Vec<_> =
                columns.iter_mut().filter_map(|column| column.next().map(Expr::value)).collect();
            insert.values(row).map_err(|error| DbErr::Query(RuntimeErr::Internal(error.to_string())))?;
        }
        if let Some(id) = unless_known {
            insert.on_conflict(OnConflict::new().do_nothing().to_owned());
            insert.returning(Query::returning().column(id));
            answered.extend(transaction.query_all(&insert).await?);
        } else {
            transaction.execute(&insert).await?;
        }
    }
    Ok(answered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_holds_one_type_and_null_only_where_empty_tells_it() {
        let array = |cells: Vec<Value>| Array::of("some", cells);
        let text = |text: &str| Value::from(text);
        let null = || Value::String(None);
        assert!(array(vec![null(), null()]).unwrap().is_none());
        assert!(array(vec![]).unwrap().is_none());
        let found = array(vec![null(), text("a")]).unwrap().unwrap();
        assert_eq!((found.type_name, found.has_nulls), ("text", true));
        let expected = Value::Array(ArrayType::String, Some(Box::new(vec![text(""), text("a")])));
        assert_eq!(found.value, expected);
        assert!(!array(vec![text(""), text("a")]).unwrap().unwrap().has_nulls);
        let refused = |cells| array(cells).map(|_| ()).unwrap_err().to_string();
        let expected = "Type Error: column some cannot be inserted by arrays";
        // An empty text could not be told from NULL; an id is never empty; a number of another size.
        assert_eq!(refused(vec![null(), text("")]), expected);
        assert_eq!(refused(vec![Value::Uuid(None), Uuid::nil().into()]), expected);
        assert_eq!(refused(vec![1_i64.into()]), expected);
    }
}
