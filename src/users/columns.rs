use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IdenStatic, Iterable, QuerySelect, Select,
    Statement, sea_query::Expr,
};

use crate::entity::user::{Column, Entity, Model, PersonalAttribute};

/// Columns of users: a query for usernames reads no sealed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns(u64);

impl Columns {
    /// The id alone, which is in all others.
    pub const ID: Self = Self(1 << Column::Id as u64);
    /// What makes a data key needed that no column needs.
    pub(super) const KEYED: Self = Self(1 << 63);
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);

    /// The same with one more.
    #[must_use]
    pub const fn with(self, column: Column) -> Self {
        Self(self.0 | 1 << column as u64)
    }

    /// The columns of both.
    pub(super) const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// How many columns a [selection](Self::select) has.
    pub(super) fn count() -> usize {
        Column::iter().count()
    }

    /// Whether any data key is needed.
    pub(super) fn need_keys(self) -> bool {
        let sealed = PersonalAttribute::ALL.iter().any(|attribute| self.has(attribute.column()));
        sealed || self.0 & Self::KEYED.0 != 0
    }

    const fn has(self, column: Column) -> bool {
        self.0 & (1 << column as u64) != 0
    }

    /// The same as a text, of a table with another name.
    pub(super) fn of(self, table: &str) -> String {
        let column = |column: Column| {
            if self.has(column) { format!("{table}.\"{}\"", column.as_str()) } else { "NULL".to_owned() }
        };
        Column::iter().map(column).collect::<Vec<_>>().join(", ")
    }

    /// Users, without a condition. What is not in these columns is null, so that each column has one place in all rows.
    pub(super) fn select(self) -> Select<Entity> {
        Column::iter().fold(Entity::find().select_only(), |select, column| {
            if self.has(column) {
                select.column(column)
            } else {
                select.expr_as(Expr::cust("NULL"), column.as_str())
            }
        })
    }
}

/// The rows of a [selection](Columns::select). By the columns' places: to look up each name in each row took a fifth of a page. What was
/// not selected is empty.
///
/// # Errors
///
/// The database's error.
pub(super) async fn rows(db: &DatabaseConnection, statement: Statement) -> Result<Vec<Model>, DbErr> {
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(Model::by_places).collect()
}
