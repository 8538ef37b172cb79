//! Finding people by a personal value: blind indexes.
//!
//! A tag stands for a value: the first 16 bytes of an HMAC under an index key, of which there is one for each epoch. An [index](Index) is the tags of one
//! attribute in one epoch, made by the same rules. While one is built, the one before serves; who writes a value stores the tags of both.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`Search`] | what is searched in a database, and how |
//! | [`Index`], `Indexes` | the indexes that there are, as of a generation |
//! | `head` | the generation: a random number that changes with the indexes; compared under a lock by who writes |
//! | `tags` | the tags of a change |
//! | `macs` | what tags need of the key backend, of attributes with `second = "backend"` |
//! | `look_up` | from a tag to subjects |
//! | `change` | changes of the indexes: one transaction each, in the audit trail |
//! | `prepare` | an empty database has its indexes at once |
//! | `build` | indexes for people who are there already, and the end of indexes; `src/users` goes through the people |

mod batch;
mod build;
mod change;
mod error;
mod head;
mod index;
mod indexes;
mod look_up;
mod macs;
mod prepare;
mod tags;

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use sea_orm::{DatabaseConnection, DbErr};

pub(crate) use self::{
    batch::{TagBatch, Untagged, lock_subjects},
    look_up::{Hit, Wanted, no_head},
    tags::{NewTags, Tagger, insert_together},
};
pub use self::{
    build::{Build, Planned},
    error::SearchError,
    index::{Index, IndexState},
    look_up::TagPage,
    tags::{TaggedChange, remove_of, remove_values},
};

use self::indexes::Indexes;
use crate::{
    attributes::{Matching, SearchSettings},
    keys::Keyring,
};

/// An attribute, and how people are to be found by it.
#[derive(Clone, Debug)]
pub struct Searched {
    /// The attribute's name.
    pub name: String,
    /// Which of its values are the same.
    pub matching: Matching,
    /// As this process has it configured. The database may have another index, or none.
    pub settings: SearchSettings,
}

/// What people are found by in a database. Cheap to clone: all clones remember the same.
#[derive(Clone, Debug)]
pub struct Search(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: DatabaseConnection,
    keyring: Keyring,
    searched: Arc<[Searched]>,
    known: RwLock<Option<Arc<Indexes>>>,
}

impl Search {
    /// Of these attributes. Nothing is read before it is needed.
    #[must_use]
    pub fn new(db: DatabaseConnection, keyring: Keyring, searched: impl Into<Arc<[Searched]>>) -> Self {
        let searched = searched.into();
        Self(Arc::new(Inner { db, keyring, searched, known: RwLock::default() }))
    }

    /// All attributes, searched or not.
    #[must_use]
    pub fn attributes(&self) -> &[Searched] {
        &self.0.searched
    }

    /// The database.
    #[must_use]
    pub fn db(&self) -> &DatabaseConnection {
        &self.0.db
    }

    /// The attribute of this name, with its place.
    fn searched(&self, name: &str) -> Option<(usize, &Searched)> {
        self.0.searched.iter().enumerate().find(|(_, searched)| searched.name == name)
    }

    /// The names of the attributes of which one person alone can have a value: as this process has it configured, or the database has it.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn unique(&self) -> Result<BTreeSet<String>, DbErr> {
        let indexes = self.indexes().await?;
        let built = indexes.all.iter().filter(|index| index.is_unique && index.is_written());
        let configured = self.attributes().iter().filter(|searched| searched.settings.unique);
        let configured = configured.map(|searched| searched.name.clone());
        Ok(built.map(|index| index.attribute.clone()).chain(configured).collect())
    }

    /// The indexes, as they were when they were last read. For reading: who looks up compares the generation in the same statement. For writing: it is
    /// compared again under a lock.
    async fn indexes(&self) -> Result<Arc<Indexes>, DbErr> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(known) => Ok(known),
            None => self.read_again().await,
        }
    }

    /// The indexes, as they are now.
    async fn read_again(&self) -> Result<Arc<Indexes>, DbErr> {
        let indexes = Arc::new(Indexes::read(&self.0.db).await?);
        self.0.keyring.index_keys().keep_only(|id| indexes.has_key(id));
        *self.0.known.write().unwrap_or_else(PoisonError::into_inner) = Some(indexes.clone());
        Ok(indexes)
    }
}
