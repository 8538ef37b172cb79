use std::{fmt, marker::PhantomData};

use async_trait::async_trait;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ColumnType, DatabaseConnection, DbErr, EntityName, EntityTrait,
    IdenStatic, Iterable, PrimaryKeyToColumn, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Query, SelectStatement},
};
use uuid::Uuid;

use super::SealedModel;
use crate::{
    database::WriteTransaction,
    entity::data_key,
    envelope::{SealedRow, SubjectId},
};

/// Seals the values of a row anew; `false` if it could not.
pub(crate) type Reseal<'a> = dyn FnMut(&mut dyn SealedRow) -> bool + Send + 'a;

/// A table with sealed values, whatever its model is.
#[async_trait]
pub(crate) trait SealedTable: fmt::Debug + Send + Sync {
    /// The table's name.
    fn name(&self) -> &'static str;

    /// The names of the columns that hold sealed values; nothing if the model has binary columns beside its sealed fields.
    fn sealed_columns(&self) -> Vec<&'static str>;

    /// The rows of these subjects.
    async fn rows(
        &self,
        db: &DatabaseConnection,
        subjects: &[SubjectId],
    ) -> Result<Vec<Box<dyn SealedRow + Send + Sync>>, DbErr>;

    /// Whether the subject has any row.
    async fn has_rows(&self, db: &DatabaseConnection, subject: SubjectId) -> Result<bool, DbErr>;

    /// The subjects of whom there is no data key.
    async fn subjects_without_data_key(&self, db: &DatabaseConnection) -> Result<Vec<SubjectId>, DbErr>;

    /// `SELECT DISTINCT` of the subjects.
    fn select_subjects(&self) -> SelectStatement;

    /// The same of these subjects alone.
    fn select_among(&self, subjects: &[Uuid]) -> SelectStatement;

    /// Locks a subject's rows, seals their values anew, and stores those that changed. Gives the number of rows; `None` if a
    /// value could not be sealed anew.
    async fn reseal(
        &self,
        transaction: &WriteTransaction,
        subject: SubjectId,
        reseal: &mut Reseal<'_>,
    ) -> Result<Option<u64>, DbErr>;

    /// Deletes a subject's rows, and gives their number.
    async fn delete(&self, transaction: &WriteTransaction, subject: SubjectId) -> Result<u64, DbErr>;
}

/// The table of a model.
pub(super) struct TableOf<M>(PhantomData<fn() -> M>);

impl<M> TableOf<M> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<M: SealedModel> fmt::Debug for TableOf<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableOf({})", M::Entity::default().table_name())
    }
}

#[async_trait]
impl<M: SealedModel> SealedTable for TableOf<M> {
    fn name(&self) -> &'static str {
        M::Entity::default().table_name()
    }

    /// A sealed field's column is binary; a column that is binary and no sealed field would make it impossible to tell which.
    fn sealed_columns(&self) -> Vec<&'static str> {
        let binary = <M::Entity as EntityTrait>::Column::iter().filter(|column| {
            matches!(column.def().get_column_type(), ColumnType::VarBinary(_) | ColumnType::Binary(_))
        });
        let binary: Vec<_> = binary.map(|column| column.as_str()).collect();
        if binary.len() == M::SEALED { binary } else { Vec::new() }
    }

    async fn rows(
        &self,
        db: &DatabaseConnection,
        subjects: &[SubjectId],
    ) -> Result<Vec<Box<dyn SealedRow + Send + Sync>>, DbErr> {
        let ids = subjects.iter().map(|subject| *subject.as_uuid());
        let rows = M::Entity::find().filter(M::subject_column().is_in(ids)).all(db).await?;
        Ok(rows.into_iter().map(|row| Box::new(row) as _).collect())
    }

    async fn has_rows(&self, db: &DatabaseConnection, subject: SubjectId) -> Result<bool, DbErr> {
        let column = M::subject_column();
        let select = M::Entity::find().select_only().column(column).filter(column.eq(*subject.as_uuid()));
        Ok(select.into_tuple::<Uuid>().one(db).await?.is_some())
    }

    async fn subjects_without_data_key(&self, db: &DatabaseConnection) -> Result<Vec<SubjectId>, DbErr> {
        let column = M::subject_column();
        let mut keys = Query::select();
        keys.column(data_key::Column::SubjectId).from(data_key::Entity);
        let select = M::Entity::find().select_only().column(column).distinct();
        let ids: Vec<Uuid> = select.filter(column.not_in_subquery(keys)).into_tuple().all(db).await?;
        Ok(ids.into_iter().map(SubjectId::from).collect())
    }

    fn select_subjects(&self) -> SelectStatement {
        Query::select().distinct().column(M::subject_column()).from(M::Entity::default()).to_owned()
    }

    fn select_among(&self, subjects: &[Uuid]) -> SelectStatement {
        self.select_subjects().and_where(M::subject_column().is_in(subjects.iter().copied())).to_owned()
    }

    async fn reseal(
        &self,
        transaction: &WriteTransaction,
        subject: SubjectId,
        reseal: &mut Reseal<'_>,
    ) -> Result<Option<u64>, DbErr> {
        let own = M::subject_column().eq(*subject.as_uuid());
        let mut select = M::Entity::find().filter(own).lock_exclusive();
        for column in <M::Entity as EntityTrait>::PrimaryKey::iter() {
            select = select.order_by_asc(column.into_column());
        }
        let rows = select.all(transaction).await?;
        let number = rows.len() as u64;
        for old in rows {
            let mut new = old.clone();
            if !reseal(&mut new) {
                return Ok(None);
            }
            let mut changed: <M::Entity as EntityTrait>::ActiveModel = old.clone().into_active_model();
            for column in <M::Entity as EntityTrait>::Column::iter() {
                let value = new.get(column);
                if value != old.get(column) {
                    changed.set(column, value);
                }
            }
            if changed.is_changed() {
                M::Entity::update(changed).exec(transaction).await?;
            }
        }
        Ok(Some(number))
    }

    async fn delete(&self, transaction: &WriteTransaction, subject: SubjectId) -> Result<u64, DbErr> {
        let own = M::subject_column().eq(*subject.as_uuid());
        Ok(M::Entity::delete_many().filter(own).exec(transaction).await?.rows_affected)
    }
}
