//! Tags for those who are there already: a sweep through all data keys.

mod open;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait, Query, SelectStatement, SubQueryStatement},
};
use uuid::Uuid;

use self::open::Opened;
use super::{Columns, UserAttribute, Users};
use crate::{
    causes,
    database::{is_deadlock, one_of},
    entity::{SealedName, blind_index, data_key, personal_value, user},
    envelope::{DataKeyId, PersonalText, Sealed, SealedRow, SubjectId},
    keys::{
        WrappedKey,
        sweep::{
            self, BatchResult, Controls, Failure, NewOperation, OperationKind, Pace, Report, StopCause,
            SweepOptions, Task,
        },
    },
    search::{Index, SearchError, TagBatch, TaggedChange, Untagged},
};

/// How often a batch is stored anew if the indexes change meanwhile.
const ATTEMPTS: usize = 5;

/// Gives values from before their tags.
#[derive(Clone, Debug)]
pub struct IndexBuild {
    users: Users,
    indexes: Arc<[(Index, UserAttribute)]>,
    found: Arc<Mutex<Found>>,
}

/// What a run came by.
#[derive(Debug, Default)]
struct Found {
    /// Values that do not open.
    unreadable: HashSet<Place>,
    /// Attributes of which some value has an owner already.
    taken: HashSet<String>,
}

impl Users {
    /// What gives values their tags in indexes that are being built.
    #[must_use]
    pub fn index_build(&self, indexes: &[Index]) -> IndexBuild {
        let own = |index: &Index| Some((index.clone(), self.attribute(&index.attribute)?));
        IndexBuild {
            users: self.clone(),
            indexes: indexes.iter().filter_map(own).collect(),
            found: Arc::default(),
        }
    }
}

impl IndexBuild {
    /// How many data keys there are whose subjects have a value without a tag.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn count(&self) -> Result<u64, DbErr> {
        data_key::Entity::find().filter(self.remaining()).count(&self.users.db).await
    }

    /// Goes through them, on record; `planned` is their number.
    ///
    /// # Errors
    ///
    /// The database's error. What was tagged until then is stored, and the same run again does the rest.
    pub async fn run(
        &self,
        actor: &str,
        planned: u64,
        options: &SweepOptions,
        controls: &Controls,
    ) -> Result<Report, DbErr> {
        let new = NewOperation {
            kind: OperationKind::Index,
            actor: actor.to_owned(),
            from: None,
            to: None,
            planned,
        };
        sweep::run(&self.users.db, new, vec![Arc::new(self.clone()) as _], options, controls).await
    }

    /// Whether somebody else has a value of the index already, where one alone may have it.
    #[must_use]
    pub fn is_taken(&self, index: &Index) -> bool {
        self.found().taken.contains(&index.attribute)
    }

    /// Whether all whose value has no tag in an index are some whose value does not open.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn lacks_unreadable_only(&self, index: &Index) -> Result<bool, DbErr> {
        let this = self.users.index_build(std::slice::from_ref(index));
        let left = data_key::Entity::find().select_only().column(data_key::Column::SubjectId);
        let left: Vec<Uuid> = left.filter(this.remaining()).into_tuple().all(self.db()).await?;
        let found = self.found();
        Ok(left
            .into_iter()
            .all(|subject| found.unreadable.contains(&(subject.into(), index.attribute.clone()))))
    }

    /// The data keys whose subject has a value and no tag, by the rows of both.
    fn untagged(&self, has_value_alone: impl Fn(SelectStatement, SelectStatement) -> Condition) -> Condition {
        self.indexes.iter().fold(Condition::any(), |any, (index, attribute)| {
            any.add(has_value_alone(has_value(attribute), has_tag(index)))
        })
    }

    fn note_unreadable(&self, place: &Place) {
        self.found().unreadable.insert(place.clone());
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        // Nothing panics while it is locked.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn db(&self) -> &DatabaseConnection {
        &self.users.db
    }

    /// The values of some subjects that the indexes are of, by subject and by the place of the index's attribute.
    async fn values(&self, db: &impl ConnectionTrait, subjects: &[Uuid]) -> Result<Values, DbErr> {
        let mut values = Values::new();
        let backend = self.db().get_database_backend();
        let columns: Vec<_> = self.columns().collect();
        if !columns.is_empty() {
            let these = one_of(backend, user::Column::Id, subjects.to_vec());
            let read = columns.iter().fold(Columns::ID, |all, (_, attribute)| all.with(attribute.column()));
            for row in db.query_all(&read.select().filter(these).into_query()).await? {
                let row = user::Model::by_places(&row)?;
                for (name, attribute) in &columns {
                    if let Some(value) = attribute.sealed(&row) {
                        values.insert((row.subject(), (*name).to_owned()), value.into());
                    }
                }
            }
        }
        let declared: Vec<_> = self.declared().map(SealedName::of).collect();
        if !declared.is_empty() {
            let these = one_of(backend, personal_value::Column::SubjectId, subjects.to_vec());
            let select = personal_value::Entity::find().filter(these);
            let select = select.filter(personal_value::Column::Attribute.is_in(declared));
            for row in select.all(db).await? {
                let value = Sealed::new(&row.attribute, row.sealed.as_bytes()).into();
                values.insert((row.subject(), row.attribute.name().to_owned()), value);
            }
        }
        Ok(values)
    }

    fn columns(&self) -> impl Iterator<Item = (&str, user::PersonalAttribute)> {
        self.indexes.iter().filter_map(|(index, attribute)| match attribute {
            UserAttribute::Column(column) => Some((index.attribute.as_str(), *column)),
            UserAttribute::Declared(_) => None,
        })
    }

    fn declared(&self) -> impl Iterator<Item = &str> {
        self.indexes.iter().filter_map(|(_, attribute)| match attribute {
            UserAttribute::Column(_) => None,
            UserAttribute::Declared(declaration) => Some(declaration.name()),
        })
    }
}

/// Whose value, of which attribute.
type Place = (SubjectId, String);

type Values = BTreeMap<Place, SealedValue>;

/// A sealed value, and the name that it is sealed under.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SealedValue {
    name: String,
    bytes: Vec<u8>,
}

impl SealedValue {
    fn as_sealed(&self) -> Sealed<'_> {
        Sealed::new(&self.name, &self.bytes)
    }
}

impl From<Sealed<'_>> for SealedValue {
    fn from(value: Sealed<'_>) -> Self {
        Self { name: value.name().to_owned(), bytes: value.as_bytes().to_vec() }
    }
}

#[async_trait]
impl Task for IndexBuild {
    fn remaining(&self) -> Condition {
        self.untagged(|value, tag| Condition::all().add(Expr::exists(value)).add(Expr::exists(tag).not()))
    }

    fn remaining_in_order(&self) -> Option<Condition> {
        let first = |mut found: SelectStatement| {
            Expr::from(SubQueryStatement::SelectStatement(found.limit(1).to_owned()))
        };
        Some(self.untagged(|value, tag| {
            Condition::all().add(first(value).is_not_null()).add(first(tag).is_null())
        }))
    }

    async fn process(&self, keys: Vec<(DataKeyId, WrappedKey)>, pace: &Pace) -> Result<BatchResult, DbErr> {
        let subjects: Vec<Uuid> =
            keys.iter().map(|(id, _)| Uuid::from(id.subject)).collect::<HashSet<_>>().into_iter().collect();
        let values = self.values(self.db(), &subjects).await?;
        let Opened { texts, gone, mut problems } = match self.open(&values, pace).await {
            Ok(opened) => opened,
            Err(stop) => return Ok(BatchResult { stop, ..BatchResult::default() }),
        };
        let Stored { changed, taken } = match self.store(&subjects, &values, &texts, pace).await {
            Ok(stored) => stored,
            Err(SearchError::Database(error)) => return Err(error),
            Err(error) => {
                pace.abort();
                let stop = match error {
                    SearchError::Interrupted => None,
                    error => Some(StopCause(causes::line(&error))),
                };
                return Ok(BatchResult { stop, ..BatchResult::default() });
            }
        };
        // Rotated or forgotten just now: who is still there comes again. Unless the value is the same, and has no data key.
        if !gone.is_empty() {
            let now = self.values(self.db(), &subjects).await?;
            for (key, problem) in gone {
                if now.get(&key) == values.get(&key) {
                    self.note_unreadable(&key);
                    problems.insert(key.0, problem);
                }
            }
        }
        problems.extend(taken);
        let mut result = BatchResult::default();
        for (id, wrapped) in keys {
            if let Some((class, cause)) = problems.remove(&id.subject) {
                result.failures.push(Failure { id, kek_id: wrapped.kek_id, class, cause });
            } else if changed.contains(&id.subject) {
                result.changed += 1;
            } else {
                result.done += 1;
            }
        }
        Ok(result)
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
struct Stored {
    /// Those whose values are others meanwhile.
    changed: HashSet<SubjectId>,
    /// Those whose value is somebody else's already, where one alone may have it.
    taken: HashMap<SubjectId, Problem>,
}

type Problem = (&'static str, String);

impl IndexBuild {
    /// Stores the tags of values that are still what they were when they were opened.
    async fn store(
        &self,
        subjects: &[Uuid],
        values: &Values,
        texts: &Texts,
        pace: &Pace,
    ) -> Result<Stored, SearchError> {
        for _ in 0..ATTEMPTS {
            match self.try_store(subjects, values, texts, pace).await {
                Err(SearchError::Changed) => self.users.search().catch_up().await?,
                // Of two who wait for each other, this one begins anew.
                Err(SearchError::Database(error)) if is_deadlock(&error) => {}
                stored => return stored,
            }
        }
        Err(SearchError::Changed)
    }

    async fn try_store(
        &self,
        subjects: &[Uuid],
        values: &Values,
        texts: &Texts,
        pace: &Pace,
    ) -> Result<Stored, SearchError> {
        let indexes: Vec<_> = self.indexes.iter().map(|(index, _)| index.clone()).collect();
        let wanted =
            texts.iter().map(|((_, name), text)| TaggedChange { attribute: name, value: Some(text) });
        let wanted: Vec<_> = wanted.collect();
        // Before the transaction: none is held open over a call to the key backend.
        let tagger = self.users.search().tagger_for(&indexes, &wanted, pace).await?;
        let mut batch = TagBatch::begin(self.users.search(), tagger, indexes, subjects).await?;
        let now = self.values(batch.transaction(), subjects).await?;
        let mut changed = HashSet::new();
        for (key, text) in texts {
            if values.get(key) == now.get(key) {
                batch.add(key.0, &key.1, text)?;
            } else {
                changed.insert(key.0);
            }
        }
        let problem = |Untagged { subject, attribute, owner }: Untagged| {
            let cause = format!("{attribute} is also that of {owner}");
            self.found().taken.insert(attribute);
            (subject, ("taken", cause))
        };
        let taken = batch.commit().await?.into_iter().map(problem).collect();
        Ok(Stored { changed, taken })
    }
}

type Texts = HashMap<Place, PersonalText>;

/// A row of a value of the subject of a data key.
fn has_value(attribute: &UserAttribute) -> SelectStatement {
    let mut select = Query::select();
    select.expr(Expr::value(1));
    let subject = (data_key::Entity, data_key::Column::SubjectId);
    match attribute {
        UserAttribute::Column(column) => select
            .from(user::Entity)
            .and_where(Expr::col((user::Entity, user::Column::Id)).equals(subject))
            .and_where(column.column().is_not_null()),
        UserAttribute::Declared(declaration) => select
            .from(personal_value::Entity)
            .and_where(Expr::col((personal_value::Entity, personal_value::Column::SubjectId)).equals(subject))
            .and_where(personal_value::Column::Attribute.eq(SealedName::of(declaration.name()))),
    };
    select
}

/// A tag of the subject of a data key in an index.
fn has_tag(index: &Index) -> SelectStatement {
    let subject = (data_key::Entity, data_key::Column::SubjectId);
    Query::select()
        .expr(Expr::value(1))
        .from(blind_index::Entity)
        .and_where(Expr::col((blind_index::Entity, blind_index::Column::SubjectId)).equals(subject))
        .and_where(blind_index::Column::Attribute.eq(index.attribute.as_str()))
        .and_where(blind_index::Column::Epoch.eq(index.epoch))
        .to_owned()
}
