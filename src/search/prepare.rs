use super::{
    Index, IndexState, Search, SearchError, Searched,
    change::{Change, has_users},
    indexes::Indexes,
};
use crate::{attributes, audit::Origin, database::now};

impl Search {
    /// Gives a database without users its indexes: there is nothing to build. Gives the names of the attributes that nobody can be found by all the same:
    /// values are there, and no index that this process can use.
    ///
    /// # Errors
    ///
    /// [`SearchError`].
    pub async fn prepare(&self, origin: &Origin) -> Result<Vec<String>, SearchError> {
        let mut indexes = self.read_again().await?;
        if self.missing(&indexes).next().is_some() && !has_users(&self.0.db).await? {
            let change = |indexes: &Indexes| {
                let mut epochs = Epochs::of(indexes);
                let add = self.missing(indexes);
                let add: Vec<_> = add
                    .map(|searched| new_index(indexes, &mut epochs, searched, IndexState::Ready))
                    .collect();
                // By other rules. Who writes could not write both.
                let is_replaced = |one: &&Index| add.iter().any(|new| new.attribute == one.attribute);
                let remove = indexes.all.iter().filter(is_replaced).cloned().collect();
                Change {
                    add,
                    remove,
                    new_epoch: epochs.begun(),
                    only_without_users: true,
                    ..Change::default()
                }
            };
            indexes = self.change(origin, change).await?;
        }
        Ok(self.missing(&indexes).map(|searched| searched.name.clone()).collect())
    }

    /// The attributes that people are to be found by, and that no index serves.
    pub(super) fn missing<'s>(&'s self, indexes: &'s Indexes) -> impl Iterator<Item = &'s Searched> {
        let wanted = |searched: &&Searched| searched.settings.search == attributes::Search::Exact;
        self.attributes().iter().filter(wanted).filter(|searched| indexes.serving(searched).is_none())
    }
}

/// An index of an attribute as this process is to have it: in the newest epoch, or in a new one if the newest has another index of it.
pub(super) fn new_index(
    indexes: &Indexes,
    epochs: &mut Epochs,
    searched: &Searched,
    state: IndexState,
) -> Index {
    let is_there = |epoch| {
        let same = |index: &Index| index.attribute == searched.name && index.epoch == epoch;
        indexes.all.iter().any(same)
    };
    if indexes.key(epochs.newest).is_none() || is_there(epochs.newest) {
        epochs.begin();
    }
    Index {
        attribute: searched.name.clone(),
        epoch: epochs.newest,
        rules: searched.matching.rules().to_owned(),
        is_unique: searched.settings.unique,
        id: uuid::Builder::from_random_bytes(rand::random()).into_uuid(),
        state,
        created_at: now(),
    }
}

/// The newest epoch.
#[derive(Debug)]
pub(super) struct Epochs {
    newest: i32,
    has_begun: bool,
}

impl Epochs {
    pub(super) fn of(indexes: &Indexes) -> Self {
        let of_keys = indexes.keys.iter().map(|key| key.id.epoch);
        let newest = of_keys.chain(indexes.all.iter().map(|index| index.epoch)).max().unwrap_or(0);
        Self { newest, has_begun: false }
    }

    /// Begins another one, once.
    pub(super) fn begin(&mut self) {
        if !self.has_begun {
            *self = Self { newest: self.newest + 1, has_begun: true };
        }
    }

    /// That one, if it has begun.
    pub(super) fn begun(&self) -> Option<i32> {
        self.has_begun.then_some(self.newest)
    }
}
