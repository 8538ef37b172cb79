use std::{collections::BTreeSet, sync::Arc};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QuerySelect,
    QueryTrait,
    sea_query::{Expr, Query, SelectStatement, UnionType},
};
use uuid::Uuid;

use super::{Reseal, SealedModel, SealedTable, table::TableOf};
use crate::{
    database::WriteTransaction,
    entity::data_key,
    envelope::{SealedRow, SubjectId},
};

/// All tables of a program that hold sealed values. A table that is not registered is neither rotated nor verified nor
/// forgotten: a program tests with [`unregistered`](super::unregistered) that it has none.
#[derive(Clone, Debug)]
pub struct Registry {
    tables: Arc<[Arc<dyn SealedTable>]>,
}

impl Registry {
    /// No tables yet.
    #[must_use]
    pub fn new() -> Self {
        Self { tables: Arc::new([]) }
    }

    /// The same with the table of one more model.
    #[must_use]
    pub fn with<M: SealedModel>(self) -> Self {
        let one_more: Arc<dyn SealedTable> = Arc::new(TableOf::<M>::new());
        Self { tables: self.tables.iter().cloned().chain([one_more]).collect() }
    }

    /// All rows of these subjects, table by table.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn rows(
        &self,
        db: &DatabaseConnection,
        subjects: &[SubjectId],
    ) -> Result<Vec<Box<dyn SealedRow + Send + Sync>>, DbErr> {
        let mut rows = Vec::new();
        for table in &*self.tables {
            rows.extend(table.rows(db, subjects).await?);
        }
        Ok(rows)
    }

    /// Whether a subject has any row.
    pub(crate) async fn has_rows(&self, db: &DatabaseConnection, subject: SubjectId) -> Result<bool, DbErr> {
        for table in &*self.tables {
            if table.has_rows(db, subject).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many subjects have rows.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn count_subjects(&self, db: &DatabaseConnection) -> Result<u64, DbErr> {
        let Some(subjects) = self.select_subjects() else { return Ok(0) };
        let count =
            Query::select().expr(Expr::cust("COUNT(*)")).from_subquery(subjects, "subjects").to_owned();
        let row = db.query_one(&count).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(count.cast_unsigned())
    }

    /// The subjects who have rows and no data key, in the order of their ids. Nothing of theirs can be read.
    pub(crate) async fn subjects_without_data_key(
        &self,
        db: &DatabaseConnection,
    ) -> Result<Vec<SubjectId>, DbErr> {
        let mut subjects = BTreeSet::new();
        for table in &*self.tables {
            subjects.extend(table.subjects_without_data_key(db).await?);
        }
        Ok(subjects.into_iter().collect())
    }

    /// Those of some subjects who have rows or data keys. So many at most as a statement has room for.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn present_among(
        &self,
        db: &impl ConnectionTrait,
        subjects: &[SubjectId],
    ) -> Result<BTreeSet<SubjectId>, DbErr> {
        let ids: Vec<Uuid> = subjects.iter().map(|subject| *subject.as_uuid()).collect();
        let of_keys = data_key::Entity::find()
            .select_only()
            .column(data_key::Column::SubjectId)
            .filter(data_key::Column::SubjectId.is_in(ids.iter().copied()))
            .into_query();
        let mut present = BTreeSet::new();
        for select in self.tables.iter().map(|table| table.select_among(&ids)).chain([of_keys]) {
            for row in db.query_all(&select).await? {
                present.insert(row.try_get_by_index::<Uuid>(0)?.into());
            }
        }
        Ok(present)
    }

    /// Up to `size` subjects, each as likely as any other.
    pub(crate) async fn sample(&self, db: &DatabaseConnection, size: u64) -> Result<Vec<SubjectId>, DbErr> {
        let Some(subjects) = self.select_subjects() else { return Ok(Vec::new()) };
        let mut sample = Query::select();
        sample.expr(Expr::cust("*")).from_subquery(subjects, "subjects");
        sample.order_by_expr(Expr::cust("RANDOM()"), sea_orm::Order::Asc).limit(size);
        let rows = db.query_all(&sample).await?;
        rows.iter().map(|row| Ok(row.try_get_by_index::<Uuid>(0)?.into())).collect()
    }

    /// Locks a subject's rows, seals their values anew, and stores those that changed. Gives the number of rows; `None` if a
    /// value could not be sealed anew.
    pub(crate) async fn reseal(
        &self,
        transaction: &WriteTransaction,
        subject: SubjectId,
        reseal: &mut Reseal<'_>,
    ) -> Result<Option<u64>, DbErr> {
        let mut number = 0;
        for table in &*self.tables {
            match table.reseal(transaction, subject, reseal).await? {
                Some(rows) => number += rows,
                None => return Ok(None),
            }
        }
        Ok(Some(number))
    }

    /// Deletes all rows of a subject, and gives their number.
    pub(super) async fn delete(
        &self,
        transaction: &WriteTransaction,
        subject: SubjectId,
    ) -> Result<u64, DbErr> {
        let mut number = 0;
        for table in &*self.tables {
            number += table.delete(transaction, subject).await?;
        }
        Ok(number)
    }

    pub(super) fn tables(&self) -> &[Arc<dyn SealedTable>] {
        &self.tables
    }

    /// A statement that gives each subject once. `None` if there is no table.
    #[must_use]
    pub fn select_subjects(&self) -> Option<SelectStatement> {
        let mut selects = self.tables.iter().map(|table| table.select_subjects());
        let first = selects.next()?;
        Some(selects.fold(first, |mut all, next| all.union(UnionType::Distinct, next).to_owned()))
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}
