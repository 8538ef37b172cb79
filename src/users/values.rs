use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbBackend, DbErr,
    EntityTrait, IntoActiveModel, Iterable, JoinType, QueryFilter, QueryResult, QuerySelect, QueryTrait,
    Select, Statement,
    sea_query::{Expr, ExprTrait, OnConflict, Query, SelectStatement, SimpleExpr},
};
use uuid::Uuid;

use super::{Columns, UserAttribute, UserError, Users, changes::DeclaredChange, columns::rows};
use crate::{
    attributes::{Change, Declaration},
    database::{WriteTransaction, one_of},
    entity::{
        SealedName,
        personal_value::{Column, Entity, Model},
        user,
    },
    envelope::{SealError, SubjectId},
    keys::subjects::Sealer,
};

/// A user's row, and their values of the declared attributes that are read.
pub(super) type WithValues = (user::Model, Vec<Model>);

/// Of so many attributes at most, values come in the same statement as the users: each repeats its user's row.
const FEW: usize = 3;

/// So many users, with their values of declared attributes: one statement if these are few, else two. In any order.
pub(super) async fn users_with_values(
    db: &DatabaseConnection,
    users: Select<user::Entity>,
    limit: u64,
    declared: &[Arc<Declaration>],
) -> Result<Vec<WithValues>, DbErr> {
    let (users, backend) = (users.limit(limit), db.get_database_backend());
    if declared.is_empty() || declared.len() > FEW {
        let statement = with_known_limit(backend.build(&users.into_query()), limit);
        return and_values(db, rows(db, statement).await?, declared).await;
    }
    let statement = with_known_limit(backend.build(&joined(backend, users, declared)), limit);
    let mut found: Vec<WithValues> = Vec::new();
    for row in db.query_all_raw(statement).await? {
        let id: Uuid = row.try_get_by_index(user::Column::Id as usize)?;
        let value = value_at(&row, id, Columns::count())?;
        // Those of one user come one after the other.
        match found.last_mut().filter(|(last, _)| last.id == id) {
            Some((_, values)) => values.extend(value),
            None => found.push((user::Model::by_places(&row)?, value.into_iter().collect())),
        }
    }
    Ok(found)
}

/// The same of users whose rows were read. Nothing is asked if nothing was declared.
pub(super) async fn and_values(
    db: &DatabaseConnection,
    rows: Vec<user::Model>,
    declared: &[Arc<Declaration>],
) -> Result<Vec<WithValues>, DbErr> {
    if rows.is_empty() || declared.is_empty() {
        return Ok(rows.into_iter().map(|row| (row, Vec::new())).collect());
    }
    let these = one_of(db.get_database_backend(), Column::SubjectId, rows.iter().map(|row| row.id).collect());
    let select = Entity::find()
        .select_only()
        .columns([Column::SubjectId, Column::Attribute, Column::Sealed, Column::UpdatedAt])
        .filter(these)
        .filter(is_one_of(declared));
    let mut of_each: HashMap<Uuid, Vec<Model>> = HashMap::new();
    for row in db.query_all(&select.into_query()).await? {
        let id = row.try_get_by_index(0)?;
        of_each.entry(id).or_default().extend(value_at(&row, id, 1)?);
    }
    let with_values = |row: user::Model| {
        let values = of_each.remove(&row.id).unwrap_or_default();
        (row, values)
    };
    Ok(rows.into_iter().map(with_values).collect())
}

/// The columns of users, and of one value behind them. The values are looked up for one user after the other: PostgreSQL would else take
/// a plan for its whole tables.
fn joined(backend: DbBackend, users: Select<user::Entity>, declared: &[Arc<Declaration>]) -> SelectStatement {
    let mut joined = Query::select();
    for column in user::Column::iter() {
        joined.column((USERS, column));
    }
    joined.from_subquery(users.into_query(), USERS);
    let own = Expr::col((Entity, Column::SubjectId)).equals((USERS, user::Column::Id));
    if backend == DbBackend::Postgres {
        let mut values = Query::select();
        values.columns([Column::Attribute, Column::Sealed, Column::UpdatedAt]).from(Entity);
        values.and_where(own).and_where(is_one_of(declared)).offset(0);
        for column in [Column::Attribute, Column::Sealed, Column::UpdatedAt] {
            joined.column((VALUES, column));
        }
        joined.join_lateral(JoinType::LeftJoin, values, VALUES, Condition::all());
    } else {
        for column in [Column::Attribute, Column::Sealed, Column::UpdatedAt] {
            joined.column((Entity, column));
        }
        joined.left_join(Entity, own.and(is_one_of(declared)));
    }
    joined
}

/// The sizes of most pages, and one more, by which it is told whether there is another page.
const USUAL_LIMITS: [u64; 5] = [11, 21, 26, 51, 101];

/// The same statement with its first limit in the text, if it is a usual one: each text is kept apart, so there must be few. For a limit in a parameter,
/// PostgreSQL expects a tenth of the table, so it makes a plan for the parameters each time: 40 µs for a page of users, 200 for one with
/// values.
fn with_known_limit(statement: Statement, limit: u64) -> Statement {
    let is_usual = USUAL_LIMITS.contains(&limit);
    let Some((before, rest)) = statement.sql.split_once("LIMIT $").filter(|_| is_usual) else {
        return statement;
    };
    let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let sql = format!("{before}LIMIT {limit}{rest}");
    Statement { sql, ..statement }
}

const USERS: &str = "page";
const VALUES: &str = "of_each";

/// In few texts, as `one_of` has it.
fn is_one_of(declared: &[Arc<Declaration>]) -> SimpleExpr {
    let padding = declared.len().next_power_of_two() - declared.len();
    let again = declared.last().into_iter().cycle().take(padding);
    Column::Attribute.is_in(declared.iter().chain(again).map(|declaration| declaration.name()))
}

/// The value in a row, whose columns begin at this place; nothing if there is none.
fn value_at(row: &QueryResult, subject_id: Uuid, place: usize) -> Result<Option<Model>, DbErr> {
    let Some(attribute) = row.try_get_by_index(place)? else { return Ok(None) };
    let [sealed, updated_at] = [place + 1, place + 2];
    let sealed = row.try_get_by_index(sealed)?;
    Ok(Some(Model { subject_id, attribute, sealed, updated_at: row.try_get_by_index(updated_at)? }))
}

/// Stores what becomes of a user's values, in the caller's transaction, which has the user's lock. New values need a sealer.
pub(super) async fn change(
    transaction: &WriteTransaction,
    subject: SubjectId,
    changes: &[DeclaredChange],
    sealer: Option<Sealer<'_>>,
    now: DateTime<Utc>,
) -> Result<(), UserError> {
    let replaced = sealed(subject, changes, sealer, now)?;
    let removed = changes.iter().filter(|one| one.change == Change::Remove);
    let removed: Vec<_> = removed.map(|one| SealedName::of(one.declaration.name())).collect();
    if !removed.is_empty() {
        let own = Column::SubjectId.eq(*subject.as_uuid());
        Entity::delete_many().filter(own).filter(Column::Attribute.is_in(removed)).exec(transaction).await?;
    }
    if !replaced.is_empty() {
        let again = OnConflict::columns([Column::SubjectId, Column::Attribute])
            .update_columns([Column::Sealed, Column::UpdatedAt])
            .to_owned();
        let replaced = replaced.into_iter().map(|value| value.into_active_model().reset_all());
        Entity::insert_many(replaced).on_conflict(again).exec_without_returning(transaction).await?;
    }
    Ok(())
}

/// The new values among the changes, sealed.
pub(super) fn sealed(
    subject: SubjectId,
    changes: &[DeclaredChange],
    sealer: Option<Sealer<'_>>,
    now: DateTime<Utc>,
) -> Result<Vec<Model>, SealError> {
    let mut values = Vec::new();
    for DeclaredChange { declaration, change } in changes {
        if let Change::Replace(value) = change {
            values.push(Model {
                subject_id: subject.into(),
                attribute: SealedName::of(declaration.name()),
                sealed: sealer.ok_or(SealError)?.seal_named(declaration.sealed_name(), value)?,
                updated_at: now,
            });
        }
    }
    Ok(values)
}

impl Users {
    /// An attribute's sealed bytes as the database has them now, if there are any; `None` if there is no such user any more.
    pub(super) async fn sealed_now(
        &self,
        subject: SubjectId,
        attribute: &UserAttribute,
    ) -> Result<Option<Option<Vec<u8>>>, DbErr> {
        let id = *subject.as_uuid();
        let Some(row) = user::Entity::find_by_id(id).one(&self.db).await? else { return Ok(None) };
        Ok(Some(match attribute {
            UserAttribute::Column(attribute) => attribute.sealed(&row).map(|value| value.as_bytes().to_vec()),
            UserAttribute::Declared(declaration) => {
                let key = (id, SealedName::of(declaration.name()));
                let value = Entity::find_by_id(key).one(&self.db).await?;
                value.map(|value| value.sealed.as_bytes().to_vec())
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_limit_is_in_the_text_and_another_is_not() {
        let with =
            |sql: &str, limit| with_known_limit(Statement::from_string(DbBackend::Postgres, sql), limit).sql;
        let sql = "SELECT 1 WHERE id > $1 LIMIT $12) OFFSET $3";
        for limit in USUAL_LIMITS {
            assert_eq!(with(sql, limit), format!("SELECT 1 WHERE id > $1 LIMIT {limit}) OFFSET $3"));
        }
        assert_eq!(with(sql, 12), sql);
        // As SQLite has it.
        assert_eq!(with("SELECT 1 LIMIT ?", 101), "SELECT 1 LIMIT ?");
    }
}
