use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::LockType,
};
use uuid::Uuid;

use super::{Index, Search, SearchError, head, tags::Tagger};
use crate::{
    database::{WriteTransaction, begin_write, insert_new_together, one_of},
    entity::{
        blind_index::{Column, Entity, Model},
        data_key,
    },
    envelope::{PersonalText, SubjectId},
};

/// A transaction that gives tags to values of several subjects, who are locked: nobody changes their values meanwhile.
#[derive(Debug)]
pub(crate) struct TagBatch {
    transaction: WriteTransaction,
    tagger: Tagger,
    rows: Vec<(Index, Vec<Model>)>,
}

/// A value that got no tag, since it has an owner already.
#[derive(Clone, Debug)]
pub(crate) struct Untagged {
    /// Whose value.
    pub(crate) subject: SubjectId,
    /// The attribute's name.
    pub(crate) attribute: String,
    /// Who owns it.
    pub(crate) owner: SubjectId,
}

impl TagBatch {
    /// Begins one, for indexes that are being built.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub(crate) async fn begin(
        search: &Search,
        tagger: Tagger,
        indexes: impl IntoIterator<Item = Index>,
        subjects: &[Uuid],
    ) -> Result<Self, DbErr> {
        let transaction = begin_write(&search.0.db).await?;
        lock_subjects(&transaction, subjects).await?;
        Ok(Self { transaction, tagger, rows: indexes.into_iter().map(|index| (index, Vec::new())).collect() })
    }

    /// To read the subjects' values once more.
    pub(crate) fn transaction(&self) -> &WriteTransaction {
        &self.transaction
    }

    /// Adds a value of an attribute, which the tagger was made for.
    ///
    /// # Errors
    ///
    /// [`SearchError::NotReady`] if this process makes other tags.
    pub(crate) fn add(
        &mut self,
        subject: SubjectId,
        attribute: &str,
        value: &PersonalText,
    ) -> Result<(), SearchError> {
        for (index, rows) in self.rows.iter_mut().filter(|(index, _)| index.attribute == attribute) {
            rows.push(self.tagger.row(subject, index, value)?);
        }
        Ok(())
    }

    /// Stores the tags. Gives those values that have an owner already, where there can be one only.
    ///
    /// # Errors
    ///
    /// [`SearchError::Changed`], [`SearchError::Database`]; then nothing is stored.
    pub(crate) async fn commit(self) -> Result<Vec<Untagged>, SearchError> {
        let Self { transaction, tagger, rows } = self;
        let mut untagged = Vec::new();
        for (index, mut rows) in rows {
            // In one order, whoever stores them.
            rows.sort_by(|one, other| one.tag.cmp(&other.tag));
            let stored = insert_new_together(&transaction, &rows, Column::SubjectId).await?;
            rows.retain(|row| !stored.contains(&row.subject_id));
            untagged.extend(others(&transaction, &index, rows).await?);
        }
        head::confirm(&transaction, tagger.generation()).await?;
        transaction.commit().await?;
        Ok(untagged)
    }
}

/// Locks subjects, as who seals for one does, in one order.
///
/// # Errors
///
/// The database's error.
pub(crate) async fn lock_subjects(transaction: &WriteTransaction, subjects: &[Uuid]) -> Result<(), DbErr> {
    let backend = transaction.get_database_backend();
    if backend != DbBackend::Postgres {
        // The transaction locks all of it.
        return Ok(());
    }
    let locked: Vec<(Uuid, i32)> = data_key::Entity::find()
        .select_only()
        .columns([data_key::Column::SubjectId, data_key::Column::Version])
        .filter(one_of(backend, data_key::Column::SubjectId, subjects.to_vec()))
        .order_by_asc(data_key::Column::SubjectId)
        .order_by_asc(data_key::Column::Version)
        .lock(LockType::NoKeyUpdate)
        .into_tuple()
        .all(transaction)
        .await?;
    drop(locked);
    Ok(())
}

/// Of rows that were there already, those of others.
async fn others(
    transaction: &WriteTransaction,
    index: &Index,
    rows: Vec<Model>,
) -> Result<Vec<Untagged>, DbErr> {
    if rows.is_empty() || !index.is_unique {
        return Ok(Vec::new());
    }
    let tags = rows.iter().map(|row| row.tag.clone()).collect();
    let backend = transaction.get_database_backend();
    let owners: Vec<(Vec<u8>, Uuid)> = Entity::find()
        .select_only()
        .columns([Column::Tag, Column::SubjectId])
        .filter(Column::Attribute.eq(index.attribute.as_str()))
        .filter(Column::Epoch.eq(index.epoch))
        .filter(one_of(backend, Column::Tag, tags))
        .into_tuple()
        .all(transaction)
        .await?;
    let owners: HashMap<_, _> = owners.into_iter().collect();
    let other = |row: Model| {
        let owner = *owners.get(&row.tag).filter(|owner| **owner != row.subject_id)?;
        Some(Untagged {
            subject: row.subject_id.into(),
            attribute: index.attribute.clone(),
            owner: owner.into(),
        })
    };
    Ok(rows.into_iter().filter_map(other).collect())
}
