//! Changes of the indexes themselves: each is one transaction, in the audit trail, and begins a new generation.

use std::sync::Arc;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect, SqlErr,
    sea_query::{Expr, ExprTrait},
};

use super::{Index, IndexState, Search, SearchError, head, indexes::Indexes};
use crate::{
    attributes::AttributeName,
    audit::{self, Action, NewEvent, Origin},
    database::{WriteTransaction, begin_write, on_the_primary},
    entity::{blind_index, search_index, user},
    keys::index_keys::{self, IndexKeyId, NewIndexKey},
};

/// How often a change is made anew if somebody else changes the indexes meanwhile.
const ATTEMPTS: usize = 5;

/// What is to become of the indexes.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// A new epoch, which gets a key.
    pub(super) new_epoch: Option<i32>,
    /// New indexes.
    pub(super) add: Vec<Index>,
    /// Those that come to another state.
    pub(super) set: Vec<Index>,
    /// Those of which no tag is left.
    pub(super) remove: Vec<Index>,
    /// Keys that no index needs.
    pub(super) destroy: Vec<IndexKeyId>,
    /// Nothing is changed if there are users. It concerns nobody, so nothing is recorded of it.
    pub(super) only_without_users: bool,
}

impl Change {
    pub(super) fn is_nothing(&self) -> bool {
        self.add.is_empty() && self.set.is_empty() && self.remove.is_empty() && self.destroy.is_empty()
    }

    /// What is recorded of it.
    fn events(&self, origin: &Origin) -> Vec<NewEvent> {
        let of_index = |action, index: &Index| {
            let name = AttributeName::of_field(&index.attribute);
            NewEvent::new(origin, action).attributes(&[name]).target(format!("epoch {}", index.epoch))
        };
        let added = self.add.iter().map(|index| match index.state {
            IndexState::Ready => of_index(Action::IndexReady, index),
            _ => of_index(Action::IndexBuild, index),
        });
        let set = self.set.iter().map(|index| match index.state {
            IndexState::Retiring => of_index(Action::IndexRetire, index),
            IndexState::Ready => of_index(Action::IndexReady, index),
            IndexState::Building => of_index(Action::IndexBuild, index),
        });
        let destroyed = self
            .destroy
            .iter()
            .map(|id| NewEvent::new(origin, Action::IndexKeyDestroy).target(format!("epoch {}", id.epoch)));
        added.chain(set).chain(destroyed).collect()
    }
}

impl Search {
    /// Makes the change that `plan` finds necessary, of the indexes as they are. Gives the indexes after it.
    pub(super) async fn change(
        &self,
        origin: &Origin,
        plan: impl Fn(&Indexes) -> Change,
    ) -> Result<Arc<Indexes>, SearchError> {
        for _ in 0..ATTEMPTS {
            let indexes = self.read_again().await?;
            let change = plan(&indexes);
            if change.is_nothing() {
                return Ok(indexes);
            }
            // Before the transaction: none is held open over a call to the key backend.
            self.try_macs(change.add.iter().map(|index| &*index.attribute)).await?;
            let key = match change.new_epoch {
                Some(epoch) => Some(self.0.keyring.index_keys().generate(epoch).await?),
                None => None,
            };
            match on_the_primary(&self.0.db, || self.apply(origin, &indexes, &change, key.as_ref())).await {
                Ok(true) => return Ok(self.read_again().await?),
                Ok(false) => return Ok(indexes),
                Err(SearchError::Changed) => {}
                Err(error) => return Err(error),
            }
        }
        Err(SearchError::Changed)
    }

    /// Whether it was changed. The audit trail comes first, as with everything that locks the generation.
    async fn apply(
        &self,
        origin: &Origin,
        before: &Indexes,
        change: &Change,
        key: Option<&NewIndexKey>,
    ) -> Result<bool, SearchError> {
        let transaction = begin_write(&self.0.db).await?;
        if !change.only_without_users {
            audit::append(&transaction, &change.events(origin)).await?;
        }
        match self.store(&transaction, before, change, key).await {
            // Only now: whoever was about to create a user has done so, or makes it anew.
            Ok(()) if change.only_without_users && has_users(&transaction).await? => {
                transaction.rollback().await?;
                Ok(false)
            }
            Ok(()) => {
                transaction.commit().await?;
                Ok(true)
            }
            Err(error) => {
                transaction.rollback().await?;
                // The same epoch, or the same index, by somebody else just now.
                let is_known = matches!(&error, SearchError::Database(error)
                    if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))));
                Err(if is_known { SearchError::Changed } else { error })
            }
        }
    }

    async fn store(
        &self,
        transaction: &WriteTransaction,
        before: &Indexes,
        change: &Change,
        key: Option<&NewIndexKey>,
    ) -> Result<(), SearchError> {
        let this = |index: &Index| search_index::Column::Id.eq(index.id);
        for index in &change.add {
            // There are none, unless somebody destroyed an index key by hand: of another key, they would pass for its own.
            let strays = blind_index::Column::Attribute
                .eq(index.attribute.as_str())
                .and(blind_index::Column::Epoch.eq(index.epoch));
            blind_index::Entity::delete_many().filter(strays).exec(transaction).await?;
            let row = search_index::Model::from(index.clone()).into_active_model().reset_all();
            search_index::Entity::insert(row).exec_without_returning(transaction).await?;
        }
        for index in &change.set {
            let state = Expr::value(index.state.as_str());
            let set = search_index::Entity::update_many().col_expr(search_index::Column::State, state);
            set.filter(this(index)).exec(transaction).await?;
        }
        for index in &change.remove {
            search_index::Entity::delete_many().filter(this(index)).exec(transaction).await?;
        }
        for key in &change.destroy {
            index_keys::delete(transaction, *key).await?;
        }
        if let Some(key) = key {
            index_keys::insert(transaction, key, self.0.keyring.backends().active().name()).await?;
        }
        head::begin(transaction, before.generation).await
    }
}

pub(super) async fn has_users(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(user::Entity::find().limit(1).one(db).await?.is_some())
}
