//! What is stored of declared attributes, whoever declared them: how many values of which, and those that do not fit.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use uuid::Uuid;

use super::{UserError, Users, opened::Opened};
use crate::{
    attributes::Declaration,
    audit::{self, Action, NewEvent, Origin},
    database::{begin_write, on_the_primary, one_of},
    entity::{
        SealedName,
        personal_value::{Column, Entity, Model},
    },
    envelope::{Sealed, SealedRow, SubjectId},
    keys::subjects::Unreadable,
    search,
};

/// Most values in one transaction, or in one statement.
const BATCH: u64 = 1_000;

/// A value that does not fit its declaration, as it is now.
#[derive(Debug)]
pub struct Misfit {
    /// Whose.
    pub subject: SubjectId,
    /// Why: the rule that it breaks, without the value; or why it does not open.
    pub problem: Result<String, Unreadable>,
}

impl Users {
    /// The names of all attributes of which there are values, and that are not declared. Their values are kept, rotated and forgotten, and
    /// answered to nobody.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn orphaned_attributes(&self) -> Result<Vec<String>, DbErr> {
        let mut orphaned = Vec::new();
        let mut last: Option<SealedName> = None;
        // From one name to the next by the index, since there may be many values and there are few names.
        loop {
            let mut select = Entity::find().select_only().column(Column::Attribute);
            if let Some(last) = &last {
                select = select.filter(Column::Attribute.gt(last.clone()));
            }
            let next =
                select.order_by_asc(Column::Attribute).limit(1).into_tuple::<SealedName>().one(&self.db);
            let Some(name) = next.await? else { return Ok(orphaned) };
            if self.declarations.get(name.name()).is_none() {
                orphaned.push(name.name().to_owned());
            }
            last = Some(name);
        }
    }

    /// How many values there are of each attribute that is declared or has any.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn count_values(&self) -> Result<BTreeMap<String, u64>, DbErr> {
        let counts: Vec<(SealedName, i64)> = Entity::find()
            .select_only()
            .column(Column::Attribute)
            .column_as(Column::Attribute.count(), "number")
            .group_by(Column::Attribute)
            .into_tuple()
            .all(&self.db)
            .await?;
        let mut all: BTreeMap<_, _> =
            self.declarations.iter().map(|declaration| (declaration.name().to_owned(), 0)).collect();
        all.extend(counts.into_iter().map(|(name, number)| (name.name().to_owned(), number.cast_unsigned())));
        Ok(all)
    }

    /// How many values there are of one attribute.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn count_values_of(&self, name: &str) -> Result<u64, DbErr> {
        Entity::find().filter(Column::Attribute.eq(SealedName::of(name))).count(&self.db).await
    }

    /// Removes values of an attribute, up to a thousand in one transaction, which leaves an event in the audit trail. Gives their number: call
    /// until that is none.
    ///
    /// # Errors
    ///
    /// [`UserError::Database`].
    pub async fn purge_some(&self, name: &str, origin: &Origin) -> Result<u64, UserError> {
        on_the_primary(&self.db, || self.try_purge(name, origin)).await
    }

    async fn try_purge(&self, name: &str, origin: &Origin) -> Result<u64, UserError> {
        let transaction = begin_write(&self.db).await?;
        let own = || Column::Attribute.eq(SealedName::of(name));
        let some = Entity::find().select_only().column(Column::SubjectId).filter(own());
        let some = some.order_by_asc(Column::SubjectId).limit(BATCH).into_tuple();
        let subjects: Vec<Uuid> = some.all(&transaction).await?;
        // Whoever changes their values elsewhere meanwhile comes before this, or after it.
        search::lock_subjects(&transaction, &subjects).await?;
        let these = one_of(self.db.get_database_backend(), Column::SubjectId, subjects.clone());
        let mut removed = 0;
        if !subjects.is_empty() {
            let delete = Entity::delete_many().filter(own()).filter(these);
            removed = delete.exec(&transaction).await?.rows_affected;
            search::remove_values(&transaction, name, subjects).await?;
            let count = u32::try_from(removed).unwrap_or(u32::MAX);
            let event = NewEvent::new(origin, Action::AttributePurge).target(name).times(count);
            audit::append(&transaction, [&event]).await?;
            transaction.commit().await?;
        }
        Ok(removed)
    }

    /// Opens the next values of an attribute, in the order of their subjects, and finds those that its declaration does not permit any more.
    /// Gives them, with the number of all that were opened, and the last subject: call with that one until none is opened.
    ///
    /// # Errors
    ///
    /// [`UserError::Database`].
    pub async fn check_some(
        &self,
        declaration: &Declaration,
        after: Option<SubjectId>,
    ) -> Result<(Vec<Misfit>, u64, Option<SubjectId>), UserError> {
        let mut select = Entity::find().filter(Column::Attribute.eq(SealedName::of(declaration.name())));
        if let Some(after) = after {
            select = select.filter(Column::SubjectId.gt(*after.as_uuid()));
        }
        let rows: Vec<Model> = select.order_by_asc(Column::SubjectId).limit(BATCH).all(&self.db).await?;
        let opened = self.open_keys_of(rows.iter().map(|row| (row.subject(), sealed(row)))).await;
        let mut misfits = Vec::new();
        for row in &rows {
            let subject = row.subject();
            match problem_of(row, &opened, declaration).await {
                Ok(None) => {}
                Ok(Some(problem)) => misfits.push(Misfit { subject, problem: Ok(problem) }),
                Err(error) => misfits.push(Misfit { subject, problem: Err(error) }),
            }
        }
        Ok((misfits, rows.len() as u64, rows.last().map(SealedRow::subject)))
    }
}

/// What a value breaks; nothing if it fits, or was changed or forgotten meanwhile.
async fn problem_of(
    row: &Model,
    opened: &Opened<'_>,
    declaration: &Declaration,
) -> Result<Option<String>, Unreadable> {
    match opened.value(row.subject(), sealed(row)).await {
        Ok(text) => Ok(declaration.parse(text.expose()).err().map(|error| error.to_string())),
        Err(error) if error.is_key_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

fn sealed(row: &Model) -> Sealed<'_> {
    Sealed::new(&row.attribute, row.sealed.as_bytes())
}
