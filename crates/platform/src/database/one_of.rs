use sea_orm::{
    ColumnTrait, DbBackend, Value,
    sea_query::{SimpleExpr, postgres_array::NotU8},
};

/// Up to this many values, the lists have a few lengths only.
const SHORT: usize = 32;

/// That a column is one of these, in few different texts. A database plans each text once: if a list is an array, PostgreSQL plans a short one anew each
/// time, since the plan depends on its length. So a short list is as long as the next power of two, its last value again and again.
pub fn one_of<V: Clone + Into<Value> + NotU8>(
    backend: DbBackend,
    column: impl ColumnTrait,
    mut values: Vec<V>,
) -> SimpleExpr {
    if let Some(last) = values.last().cloned().filter(|_| values.len() <= SHORT) {
        values.resize(values.len().next_power_of_two(), last);
    } else if backend == DbBackend::Postgres {
        return column.eq_any(values);
    }
    column.is_in(values)
}
