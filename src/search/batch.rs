use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::LockType,
};
use uuid::Uuid;

use super::{Index, Search, SearchError, head, tags};
use crate::{
    attributes::Matching,
    database::{WriteTransaction, begin_write, insert_new_together, one_of},
    entity::{
        blind_index::{Column, Entity, Model},
        data_key,
    },
    envelope::{IndexKey, PersonalText, SubjectId},
};

/// A transaction that gives tags to values of several subjects, who are locked: nobody changes their values meanwhile.
#[derive(Debug)]
pub struct TagBatch {
    transaction: WriteTransaction,
    generation: Uuid,
    indexes: Vec<Building>,
}

#[derive(Debug)]
struct Building {
    index: Index,
    matching: Matching,
    key: std::sync::Arc<IndexKey>,
    rows: Vec<Model>,
}

/// A value that got no tag, since it has an owner already.
#[derive(Clone, Debug)]
pub struct Untagged {
    /// Whose value.
    pub subject: SubjectId,
    /// The attribute's name.
    pub attribute: String,
    /// Who owns it.
    pub owner: SubjectId,
}

impl TagBatch {
    /// Begins one, for indexes that are being built.
    ///
    /// # Errors
    ///
    /// [`SearchError::NotReady`] if one of them is being built no more; [`SearchError::Keys`], [`SearchError::Database`].
    pub async fn begin(search: &Search, indexes: Vec<Index>, subjects: &[Uuid]) -> Result<Self, SearchError> {
        let known = search.indexes().await?;
        let mut building = Vec::with_capacity(indexes.len());
        for index in indexes {
            let not_ready = || SearchError::NotReady { attribute: index.attribute.clone() };
            let (_, searched) = search.searched(&index.attribute).ok_or_else(not_ready)?;
            let is_written = known.written(&index.attribute).any(|one| one.is_same(&index));
            let stored = known.key(index.epoch).filter(|_| is_written).ok_or_else(not_ready)?;
            let key = search.0.keyring.index_keys().open(stored).await?;
            building.push(Building { matching: searched.matching.clone(), key, index, rows: Vec::new() });
        }
        let transaction = begin_write(&search.0.db).await?;
        lock_subjects(&transaction, subjects).await?;
        Ok(Self { transaction, generation: known.generation, indexes: building })
    }

    /// To read the subjects' values once more.
    #[must_use]
    pub fn transaction(&self) -> &WriteTransaction {
        &self.transaction
    }

    /// Adds a value of an attribute.
    pub fn add(&mut self, subject: SubjectId, attribute: &str, value: &PersonalText) {
        for Building { index, matching, key, rows } in &mut self.indexes {
            if index.attribute == attribute {
                rows.push(tags::row(subject, index, matching, key, value));
            }
        }
    }

    /// Stores the tags. Gives those values that have an owner already, where there can be one only.
    ///
    /// # Errors
    ///
    /// [`SearchError::Changed`], [`SearchError::Database`]; then nothing is stored.
    pub async fn commit(self) -> Result<Vec<Untagged>, SearchError> {
        let Self { transaction, generation, indexes } = self;
        let mut untagged = Vec::new();
        for Building { index, mut rows, .. } in indexes {
            // In one order, whoever stores them.
            rows.sort_by(|one, other| one.tag.cmp(&other.tag));
            let stored = insert_new_together(&transaction, &rows, Column::SubjectId).await?;
            rows.retain(|row| !stored.contains(&row.subject_id));
            untagged.extend(others(&transaction, &index, rows).await?);
        }
        head::confirm(&transaction, generation).await?;
        transaction.commit().await?;
        Ok(untagged)
    }
}

/// Locks subjects, as who seals for one does, in one order.
///
/// # Errors
///
/// The database's error.
pub async fn lock_subjects(transaction: &WriteTransaction, subjects: &[Uuid]) -> Result<(), DbErr> {
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
