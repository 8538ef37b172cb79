use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, Query},
};
use uuid::Uuid;

use super::{
    Index, IndexState, Search, SearchError, Searched,
    change::Change,
    indexes::Indexes,
    prepare::{Epochs, new_index},
};
use crate::{
    attributes,
    audit::Origin,
    database::{begin_write, on_the_primary},
    entity::{
        blind_index::{Column, Entity},
        search_index,
    },
    keys::index_keys::IndexKeyId,
};

/// How many tags are gone through in one transaction.
const BATCH: u64 = 4_000;

/// Which indexes are to be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// Those that people are to be found by, and that are not there.
    Missing,
    /// One in a new epoch, of each attribute that people are found by.
    NewEpoch,
    /// The same, of which the ones before are given up at once: their index key cannot be opened any more. Nobody is found meanwhile.
    Anew,
}

/// What a build would do.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The indexes that would be built.
    pub build: Vec<Index>,
    /// Those that would be given up at once: begun by other rules, replaced already, or without a key that can be used.
    pub given_up: Vec<Index>,
}

impl Search {
    /// All indexes, as they are.
    ///
    /// # Errors
    ///
    /// [`SearchError::Database`].
    pub async fn all(&self) -> Result<Vec<Index>, SearchError> {
        Ok(self.read_again().await?.all.clone())
    }

    /// Begins the indexes that are to be built: from now on, who writes a value writes its tag. Gives them, and those that were begun before and not
    /// finished.
    ///
    /// # Errors
    ///
    /// [`SearchError`].
    pub async fn begin(&self, origin: &Origin, build: Build) -> Result<Vec<Index>, SearchError> {
        let plan = |indexes: &Indexes| self.to_build(indexes, build);
        let indexes = self.change(origin, plan).await?;
        Ok(self.begun(&indexes))
    }

    /// What [`begin`](Self::begin) would begin, and what was begun before and not finished. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`SearchError::Database`].
    pub async fn planned(&self, build: Build) -> Result<Planned, SearchError> {
        let indexes = self.read_again().await?;
        let Change { add, set: given_up, .. } = self.to_build(&indexes, build);
        let mut begun = self.begun(&indexes);
        begun.retain(|index| !given_up.iter().any(|one| one.is_same(index)));
        Ok(Planned { build: begun.into_iter().chain(add).collect(), given_up })
    }

    fn to_build(&self, indexes: &Indexes, build: Build) -> Change {
        let mut change = Change::default();
        let mut epochs = Epochs::of(indexes);
        let ready = indexes.all.iter().filter(|index| index.state == IndexState::Ready);
        let newest = ready.map(|index| index.epoch).max().unwrap_or(0);
        let is_wanted = |searched: &&Searched| searched.settings.search == attributes::Search::Exact;
        for searched in self.attributes().iter().filter(is_wanted) {
            let is_served = indexes.serving(searched).is_some();
            let is_of_use = |index: &Index| match (index.state, build) {
                (IndexState::Building, Build::Missing) => index.is_as(searched),
                // A rotation that was interrupted goes on. What was being built before it is of the epoch that is to end.
                (IndexState::Building, Build::NewEpoch) => index.is_as(searched) && index.epoch > newest,
                // One by other rules serves others until this process's own does.
                (IndexState::Ready, Build::Missing | Build::NewEpoch) => index.is_as(searched) || !is_served,
                (_, Build::Anew) | (IndexState::Retiring, _) => false,
            };
            let (kept, useless): (Vec<_>, Vec<_>) = indexes
                .written(&searched.name)
                .partition(|index| indexes.key(index.epoch).is_some() && is_of_use(index));
            change.set.extend(useless.into_iter().map(retiring));
            let is_begun = kept.iter().any(|index| index.state == IndexState::Building);
            if !is_begun && (build != Build::Missing || !is_served) {
                if build != Build::Missing {
                    epochs.begin();
                }
                change.add.push(new_index(indexes, &mut epochs, searched, IndexState::Building));
            }
        }
        change.new_epoch = epochs.begun();
        change
    }

    /// The indexes that people are found by, or will be, and are not to be, as this process is configured.
    ///
    /// # Errors
    ///
    /// [`SearchError::Database`].
    pub async fn unwanted(&self) -> Result<Vec<Index>, SearchError> {
        let indexes = self.read_again().await?;
        let is_wanted = |index: &Index| {
            let searched = self.searched(&index.attribute);
            searched.is_some_and(|(_, searched)| searched.settings.search == attributes::Search::Exact)
        };
        Ok(indexes.all.iter().filter(|index| index.is_written() && !is_wanted(index)).cloned().collect())
    }

    /// The names of the attributes that people are to be found by, and are not.
    ///
    /// # Errors
    ///
    /// [`SearchError::Database`].
    pub async fn not_served(&self) -> Result<Vec<String>, SearchError> {
        let indexes = self.read_again().await?;
        Ok(self.missing(&indexes).map(|searched| searched.name.clone()).collect())
    }

    /// The indexes that are being built, and are as this process is to have them.
    fn begun(&self, indexes: &Indexes) -> Vec<Index> {
        let begun = |index: &&Index| {
            let searched = self.searched(&index.attribute);
            index.state == IndexState::Building && searched.is_some_and(|(_, searched)| index.is_as(searched))
        };
        indexes.all.iter().filter(begun).cloned().collect()
    }

    /// Lets people be found by indexes in which nothing is missing, and by none before them.
    ///
    /// # Errors
    ///
    /// [`SearchError`].
    pub async fn finish(&self, origin: &Origin, built: &[Index]) -> Result<(), SearchError> {
        let plan = |indexes: &Indexes| {
            let mut change = Change::default();
            // Somebody else may have finished it, and begun another one since.
            let stands = |one: &&Index| built.iter().any(|built| built.is_same(one)) && one.is_written();
            for finished in indexes.all.iter().filter(stands) {
                if finished.state == IndexState::Building {
                    change.set.push(Index { state: IndexState::Ready, ..finished.clone() });
                }
                let before = |one: &&Index| {
                    one.attribute == finished.attribute && one.epoch < finished.epoch && one.is_written()
                };
                change.set.extend(indexes.all.iter().filter(before).map(retiring));
            }
            change
        };
        self.change(origin, plan).await.map(drop)
    }

    /// Whether an index is still written to: nobody has given it up, or replaced it.
    ///
    /// # Errors
    ///
    /// [`SearchError::Database`].
    pub async fn stands(&self, index: &Index) -> Result<bool, SearchError> {
        let indexes = self.read_again().await?;
        Ok(indexes.all.iter().any(|one| one.is_same(index) && one.is_written()))
    }

    /// Lets nobody be found by an index of which something is missing after all.
    ///
    /// # Errors
    ///
    /// [`SearchError`].
    pub async fn reopen(&self, origin: &Origin, built: &Index) -> Result<(), SearchError> {
        let plan = |indexes: &Indexes| {
            let these = indexes.all.iter().filter(|one| one.is_same(built) && one.state == IndexState::Ready);
            let set = these.map(|one| Index { state: IndexState::Building, ..one.clone() }).collect();
            Change { set, ..Change::default() }
        };
        self.change(origin, plan).await.map(drop)
    }

    /// Gives indexes up. People are found by those before them, if there are any.
    ///
    /// # Errors
    ///
    /// [`SearchError`].
    pub async fn give_up(&self, origin: &Origin, indexes: &[Index]) -> Result<(), SearchError> {
        let plan = |known: &Indexes| {
            let these = |index: &&Index| index.is_written() && indexes.iter().any(|one| one.is_same(index));
            Change { set: known.all.iter().filter(these).map(retiring).collect(), ..Change::default() }
        };
        self.change(origin, plan).await.map(drop)
    }

    /// Deletes the tags of indexes that are retiring, a few thousand in one transaction. Gives their number.
    ///
    /// # Errors
    ///
    /// [`SearchError::Database`]. What was deleted until then is.
    pub async fn delete_retiring(&self) -> Result<u64, SearchError> {
        let is_retiring = |index: &Index| index.state == IndexState::Retiring;
        if !self.read_again().await?.all.iter().any(is_retiring) {
            return Ok(0);
        }
        let (mut deleted, mut after) = (0, None);
        loop {
            let (tags, next) = on_the_primary(&self.0.db, || self.try_delete(after)).await?;
            deleted += tags;
            after = next;
            if after.is_none() {
                return Ok(deleted);
            }
        }
    }

    /// In the order of people: what was deleted before is not gone through again, and what is written down together is found together. Gives the number of
    /// tags, and after whom to go on.
    async fn try_delete(&self, after: Option<Uuid>) -> Result<(u64, Option<Uuid>), SearchError> {
        let transaction = begin_write(&self.0.db).await?;
        let behind = || Condition::all().add_option(after.map(|after| Column::SubjectId.gt(after)));
        let last: Option<Uuid> = Entity::find()
            .select_only()
            .column(Column::SubjectId)
            .filter(behind())
            .order_by_asc(Column::SubjectId)
            .offset(BATCH)
            .limit(1)
            .into_tuple()
            .one(&transaction)
            .await?;
        let these = behind().add_option(last.map(|last| Column::SubjectId.lte(last)));
        // As the database has it now: after a failover, one may serve again, or be another one.
        let retiring = Query::select()
            .columns([search_index::Column::Attribute, search_index::Column::Epoch])
            .from(search_index::Entity)
            .and_where(search_index::Column::State.eq(IndexState::Retiring.as_str()))
            .to_owned();
        let index = Expr::tuple([Expr::col(Column::Attribute), Expr::col(Column::Epoch)]);
        let delete = Entity::delete_many().filter(these).filter(index.in_subquery(retiring));
        let deleted = delete.exec(&transaction).await?;
        transaction.commit().await?;
        Ok((deleted.rows_affected, last))
    }

    /// Ends the indexes that are retiring and have no tag any more, and destroys the keys that no index needs. Gives the epochs of these keys.
    ///
    /// # Errors
    ///
    /// [`SearchError`].
    pub async fn end(&self, origin: &Origin) -> Result<Vec<i32>, SearchError> {
        let before = self.read_again().await?;
        let mut empty = Vec::new();
        for index in before.all.iter().filter(|index| index.state == IndexState::Retiring) {
            // None is added.
            if self.count(index).await? == 0 {
                empty.push(index);
            }
        }
        let plan = |indexes: &Indexes| {
            let (remove, left): (Vec<_>, Vec<_>) =
                indexes.all.iter().partition(|index| empty.contains(index));
            let needed = |id: &IndexKeyId| left.iter().any(|index| index.epoch == id.epoch);
            let destroy = indexes.keys.iter().map(|key| key.id).filter(|id| !needed(id)).collect();
            Change { remove: remove.into_iter().cloned().collect(), destroy, ..Change::default() }
        };
        let after = self.change(origin, plan).await?;
        Ok(before.keys.iter().filter(|key| !after.has_key(key.id)).map(|key| key.id.epoch).collect())
    }

    /// How many tags an index has.
    ///
    /// # Errors
    ///
    /// [`SearchError::Database`].
    pub async fn count(&self, index: &Index) -> Result<u64, SearchError> {
        let own = Column::Attribute.eq(index.attribute.as_str()).and(Column::Epoch.eq(index.epoch));
        Ok(Entity::find().filter(own).count(&self.0.db).await?)
    }
}

fn retiring(index: &Index) -> Index {
    Index { state: IndexState::Retiring, ..index.clone() }
}
