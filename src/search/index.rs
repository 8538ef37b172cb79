use std::fmt;

use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use uuid::Uuid;

use super::{SearchError, Searched};
use crate::{attributes::Search, entity::search_index};

/// The tags of one attribute in one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The attribute's name.
    pub attribute: String,
    /// Whose index key makes the tags.
    pub epoch: i32,
    /// Which it is, among all that there ever were: random.
    pub id: Uuid,
    /// What is done to values before, by name.
    pub rules: String,
    /// Whether one person alone may have a value.
    pub is_unique: bool,
    /// What becomes of it.
    pub state: IndexState,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
}

/// What becomes of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// Whoever writes a value writes its tag. Those of values from before are being added.
    Building,
    /// Every value has its tag.
    Ready,
    /// No tag is added. What is there is being deleted.
    Retiring,
}

impl Index {
    /// Whether whoever writes a value writes a tag into it.
    pub(super) fn is_written(&self) -> bool {
        matches!(self.state, IndexState::Building | IndexState::Ready)
    }

    /// Whether it is that one, whatever has become of it.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id
    }

    /// The error of who cannot use it.
    pub(super) fn not_ready(&self) -> SearchError {
        SearchError::NotReady { attribute: self.attribute.clone() }
    }

    /// Whether it is what this process would build of the attribute.
    pub(super) fn is_as(&self, searched: &Searched) -> bool {
        let Searched { name, matching, settings } = searched;
        settings.search == Search::Exact
            && self.attribute == *name
            && self.rules == matching.rules()
            && self.is_unique == settings.unique
    }
}

impl IndexState {
    /// As the table has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Ready => "ready",
            Self::Retiring => "retiring",
        }
    }

    fn parse(column: &str) -> Result<Self, DbErr> {
        [Self::Building, Self::Ready, Self::Retiring]
            .into_iter()
            .find(|state| state.as_str() == column)
            .ok_or_else(|| DbErr::Type(format!("search_indexes.state is `{column}`")))
    }
}

impl fmt::Display for IndexState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Index> for search_index::Model {
    fn from(index: Index) -> Self {
        let Index { attribute, epoch, id, rules, is_unique, state, created_at } = index;
        Self { attribute, epoch, id, rules, is_unique, state: state.as_str().to_owned(), created_at }
    }
}

impl TryFrom<search_index::Model> for Index {
    type Error = DbErr;

    fn try_from(row: search_index::Model) -> Result<Self, DbErr> {
        let search_index::Model { attribute, epoch, id, rules, is_unique, state, created_at } = row;
        Ok(Self { attribute, epoch, id, rules, is_unique, state: IndexState::parse(&state)?, created_at })
    }
}
