use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, Iterable, ModelTrait, QueryFilter, QuerySelect,
    RuntimeErr,
    sea_query::{Expr, OnConflict, Query},
};
use uuid::Uuid;

use super::{Index, Search, SearchError, head, indexes::Indexes, macs::Macs};
use crate::{
    attributes::{Matching, TagInput},
    database::{self, WriteTransaction, insert_new_together, one_of},
    entity::blind_index::{Column, Entity, Model},
    envelope::{IndexKey, PersonalText, SubjectId},
    keys::sweep::Pace,
};

/// What becomes of a value.
#[derive(Clone, Copy, Debug)]
pub struct TaggedChange<'v> {
    /// The attribute's name.
    pub attribute: &'v str,
    /// The new value, which was checked; `None` if it is removed.
    pub value: Option<&'v PersonalText>,
}

/// Makes tags, as of a generation. Its keys are open, and the MACs are there that the key backend makes.
#[derive(Debug)]
pub(crate) struct Tagger {
    search: Search,
    indexes: Arc<Indexes>,
    keys: HashMap<i32, Arc<IndexKey>>,
    macs: Macs,
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
    /// What makes the tags of these changes. A call to a key backend for each index key that this process has not opened yet, and for each MAC of a value;
    /// at a pace, if there is one.
    pub(crate) async fn tagger(
        &self,
        changes: &[TaggedChange<'_>],
        pace: Option<&Pace>,
    ) -> Result<Tagger, SearchError> {
        self.tagger_of(self.indexes().await?, None, changes, pace).await
    }

    /// The same, for some of the indexes.
    ///
    /// # Errors
    ///
    /// [`SearchError::NotReady`] if one of them is not written any more.
    pub(crate) async fn tagger_for(
        &self,
        these: &[Index],
        changes: &[TaggedChange<'_>],
        pace: &Pace,
    ) -> Result<Tagger, SearchError> {
        let indexes = self.indexes().await?;
        let is_written = |this: &Index| indexes.written(&this.attribute).any(|index| index.is_same(this));
        if let Some(index) = these.iter().find(|this| !is_written(this)) {
            return Err(index.not_ready());
        }
        self.tagger_of(indexes, Some(these), changes, Some(pace)).await
    }

    async fn tagger_of(
        &self,
        indexes: Arc<Indexes>,
        these: Option<&[Index]>,
        changes: &[TaggedChange<'_>],
        pace: Option<&Pace>,
    ) -> Result<Tagger, SearchError> {
        let is_wanted =
            |index: &&Index| these.is_none_or(|these| these.iter().any(|this| this.is_same(index)));
        let (mut keys, mut blinded) = (HashMap::new(), HashSet::new());
        for TaggedChange { attribute, value } in changes {
            let Some(value) = value else { continue };
            for index in indexes.written(attribute).filter(is_wanted) {
                let key = match keys.entry(index.epoch) {
                    Entry::Occupied(open) => open.into_mut(),
                    Entry::Vacant(vacant) => {
                        // Only if somebody destroyed it by hand: an index ends before its key.
                        let stored = indexes.key(index.epoch).ok_or_else(|| index.not_ready())?;
                        vacant.insert(self.0.keyring.index_keys().open(stored).await?)
                    }
                };
                let matching = self.matching(index)?;
                if matching.has_second()
                    && let TagInput::Blinded(input) = matching.input(key, attribute, value)
                {
                    blinded.insert(input);
                }
            }
        }
        let macs = self.macs(blinded, pace).await?;
        Ok(Tagger { search: self.clone(), indexes, keys, macs })
    }

    /// Which values are the same, by the rules of an index.
    fn matching(&self, index: &Index) -> Result<&Matching, SearchError> {
        let searched = self.searched(&index.attribute).map(|(_, searched)| &searched.matching);
        searched.filter(|matching| matching.rules() == index.rules).ok_or_else(|| index.not_ready())
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

    /// The row of a value in an index.
    pub(super) fn row(
        &self,
        subject: SubjectId,
        index: &Index,
        value: &PersonalText,
    ) -> Result<Model, SearchError> {
        let matching = self.search.matching(index)?;
        let key = self.keys.get(&index.epoch).ok_or(SearchError::Changed)?;
        let tag = self.macs.tag(matching, key, &index.attribute, value).ok_or(SearchError::Changed)?;
        Ok(Model {
            attribute: index.attribute.clone(),
            epoch: index.epoch,
            tag: tag.as_bytes().to_vec(),
            holder: if index.is_unique { Uuid::nil() } else { subject.into() },
            subject_id: subject.into(),
        })
    }

    pub(super) fn generation(&self) -> Uuid {
        self.indexes.generation
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
