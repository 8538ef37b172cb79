use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, Iterable, ModelTrait, QueryFilter, QuerySelect,
    RuntimeErr,
    sea_query::{Expr, OnConflict, Query},
};
use uuid::Uuid;

use super::{Index, Search, SearchError, head, indexes::Indexes};
use crate::{
    attributes::Matching,
    database::{self, WriteTransaction, insert_new_together, one_of},
    entity::blind_index::{Column, Entity, Model},
    envelope::{IndexKey, PersonalText, SubjectId},
};

/// What becomes of a value.
#[derive(Clone, Copy, Debug)]
pub struct TaggedChange<'v> {
    /// The attribute's name.
    pub attribute: &'v str,
    /// The new value, which was checked; `None` if it is removed.
    pub value: Option<&'v PersonalText>,
}

/// Makes tags, as of a generation. Its keys are open.
#[derive(Debug)]
pub(crate) struct Tagger {
    search: Search,
    indexes: Arc<Indexes>,
    keys: HashMap<i32, Arc<IndexKey>>,
}

/// The tags of a subject's changes, as of a generation.
#[derive(Debug)]
pub(crate) struct NewTags {
    generation: Uuid,
    subject: SubjectId,
    changed: Vec<String>,
    rows: Vec<Model>,
}

impl Search {
    /// What makes the tags of new values of these attributes. A call to a key backend for each index key that this process has not opened yet.
    pub(crate) async fn tagger<'n>(
        &self,
        valued: impl IntoIterator<Item = &'n str>,
    ) -> Result<Tagger, SearchError> {
        let indexes = self.indexes().await?;
        let valued: BTreeSet<_> = valued.into_iter().collect();
        let mut keys = HashMap::new();
        for index in valued.into_iter().flat_map(|name| indexes.written(name)) {
            if let Entry::Vacant(vacant) = keys.entry(index.epoch) {
                // Only if somebody destroyed it by hand: an index ends before its key.
                let gone = || SearchError::NotReady { attribute: index.attribute.clone() };
                let stored = indexes.key(index.epoch).ok_or_else(gone)?;
                vacant.insert(self.0.keyring.index_keys().open(stored).await?);
            }
        }
        Ok(Tagger { search: self.clone(), indexes, keys })
    }

    /// Forgets what is remembered of the indexes, since it is of a generation that is over.
    pub(crate) async fn catch_up(&self) -> Result<(), DbErr> {
        self.read_again().await.map(drop)
    }
}

impl Tagger {
    /// The tags of a subject's changes: for each index that is written.
    pub(crate) fn tags<'v>(
        &self,
        subject: SubjectId,
        changes: impl IntoIterator<Item = TaggedChange<'v>>,
    ) -> Result<NewTags, SearchError> {
        let mut tags =
            NewTags { generation: self.indexes.generation, subject, changed: Vec::new(), rows: Vec::new() };
        for TaggedChange { attribute, value } in changes {
            tags.changed.push(attribute.to_owned());
            let Some(value) = value else { continue };
            for index in self.indexes.written(attribute) {
                tags.rows.push(self.row(subject, index, value)?);
            }
        }
        // In one order, whoever stores them: who waits for the other one is not waited for.
        tags.rows.sort_by(|one, other| key(one).cmp(&key(other)));
        Ok(tags)
    }

    fn row(&self, subject: SubjectId, index: &Index, value: &PersonalText) -> Result<Model, SearchError> {
        let not_ready = || SearchError::NotReady { attribute: index.attribute.clone() };
        let (_, searched) = self.search.searched(&index.attribute).ok_or_else(not_ready)?;
        if searched.matching.rules() != index.rules {
            return Err(not_ready());
        }
        let key = self.keys.get(&index.epoch).ok_or(SearchError::Changed)?;
        Ok(row(subject, index, &searched.matching, key, value))
    }
}

/// The one place where a value of somebody gets a tag: when it is written, and when an index is built.
pub(super) fn row(
    subject: SubjectId,
    index: &Index,
    matching: &Matching,
    key: &IndexKey,
    value: &PersonalText,
) -> Model {
    Model {
        attribute: index.attribute.clone(),
        epoch: index.epoch,
        tag: matching.tag(key, &index.attribute, value).as_bytes().to_vec(),
        holder: if index.is_unique { Uuid::nil() } else { subject.into() },
        subject_id: subject.into(),
    }
}

fn key(row: &Model) -> (&str, i32, &[u8]) {
    (&row.attribute, row.epoch, &row.tag)
}

impl NewTags {
    /// Stores them, in the caller's transaction, which has the subject's lock and ends with [`confirm`](Self::confirm).
    pub(crate) async fn replace(&self, transaction: &WriteTransaction) -> Result<(), SearchError> {
        if !self.changed.is_empty() {
            let changed = Column::Attribute.is_in(self.changed.iter().map(String::as_str));
            let own = Column::SubjectId.eq(*self.subject.as_uuid());
            Entity::delete_many().filter(own).filter(changed).exec(transaction).await?;
        }
        self.insert(transaction).await
    }

    /// The same for a new subject.
    pub(crate) async fn insert(&self, transaction: &WriteTransaction) -> Result<(), SearchError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut insert = Query::insert();
        insert.into_table(Entity).columns(Column::iter());
        for row in &self.rows {
            let values = Column::iter().map(|column| Expr::value(row.get(column)));
            insert.values(values).map_err(|error| DbErr::Query(RuntimeErr::Internal(error.to_string())))?;
        }
        insert.on_conflict(OnConflict::new().do_nothing().to_owned());
        if transaction.execute(&insert).await?.rows_affected() == self.rows.len() as u64 {
            return Ok(());
        }
        Err(self.taken(transaction).await?)
    }

    /// Which of the values is somebody else's.
    async fn taken(&self, transaction: &WriteTransaction) -> Result<SearchError, DbErr> {
        let backend = transaction.get_database_backend();
        let tags = self.rows.iter().map(|row| row.tag.clone()).collect();
        let found: Vec<(String, i32, Vec<u8>)> = Entity::find()
            .select_only()
            .columns([Column::Attribute, Column::Epoch, Column::Tag])
            .filter(one_of(backend, Column::Tag, tags))
            .filter(Column::SubjectId.ne(*self.subject.as_uuid()))
            .filter(Column::Holder.eq(Uuid::nil()))
            .filter(Column::Attribute.is_in(self.rows.iter().map(|row| row.attribute.as_str())))
            .into_tuple()
            .all(transaction)
            .await?;
        let is_taken = |row: &&Model| {
            found
                .iter()
                .any(|(attribute, epoch, tag)| key(row) == (attribute.as_str(), *epoch, tag.as_slice()))
        };
        // Its owner may have been forgotten just now: then it is worth another attempt.
        let taken = self.rows.iter().find(is_taken);
        Ok(taken.map_or(SearchError::Changed, |row| SearchError::Taken { attribute: row.attribute.clone() }))
    }

    /// Ends a transaction that stored them.
    pub(crate) async fn confirm(&self, transaction: &WriteTransaction) -> Result<(), SearchError> {
        if self.changed.is_empty() {
            return Ok(());
        }
        head::confirm(transaction, self.generation).await
    }
}

/// Stores the tags of several new subjects, in the caller's transaction, which ends with [`NewTags::confirm`]. Gives those whose values are
/// others', each with the attribute; then the transaction must not be committed.
pub(crate) async fn insert_together<'t>(
    transaction: &WriteTransaction,
    all: impl Iterator<Item = &'t NewTags>,
) -> Result<Vec<(SubjectId, String)>, DbErr> {
    let rows = all.flat_map(|tags| &tags.rows);
    let (unique, shared): (Vec<_>, Vec<_>) = rows.partition(|row| row.holder.is_nil());
    database::insert_together(transaction, shared).await?;
    let mut of_each: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in unique {
        of_each.entry((row.attribute.as_str(), row.epoch)).or_default().push(row);
    }
    let mut taken = Vec::new();
    for ((attribute, _), rows) in of_each {
        let stored = insert_new_together(transaction, rows.iter().copied(), Column::SubjectId).await?;
        let missing = rows.iter().filter(|row| !stored.contains(&row.subject_id));
        taken.extend(missing.map(|row| (row.subject_id.into(), attribute.to_owned())));
    }
    Ok(taken)
}

/// Deletes all tags of a subject, in the caller's transaction. Needs no key.
///
/// # Errors
///
/// The database's error.
pub async fn remove_of(transaction: &WriteTransaction, subject: SubjectId) -> Result<(), DbErr> {
    let own = Column::SubjectId.eq(*subject.as_uuid());
    Entity::delete_many().filter(own).exec(transaction).await.map(drop)
}

/// Deletes the tags of an attribute's values of some subjects, in the caller's transaction.
///
/// # Errors
///
/// The database's error.
pub async fn remove_values(
    transaction: &WriteTransaction,
    attribute: &str,
    subjects: Vec<Uuid>,
) -> Result<(), DbErr> {
    let these = one_of(transaction.get_database_backend(), Column::SubjectId, subjects);
    Entity::delete_many()
        .filter(Column::Attribute.eq(attribute))
        .filter(these)
        .exec(transaction)
        .await
        .map(drop)
}
