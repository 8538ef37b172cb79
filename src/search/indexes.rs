use sea_orm::{DatabaseConnection, DbErr, EntityTrait, QueryOrder};
use uuid::Uuid;

use super::{Index, IndexState, Searched, head};
use crate::{
    entity::search_index,
    keys::index_keys::{self, IndexKeyId, StoredIndexKey},
};

/// The indexes of a database, as of a generation.
#[derive(Debug)]
pub(super) struct Indexes {
    pub(super) generation: Uuid,
    /// The oldest epoch first.
    pub(super) all: Vec<Index>,
    pub(super) keys: Vec<StoredIndexKey>,
}

impl Indexes {
    /// As they are now, all of one generation: that of another one would pass for its own should the database come back to it.
    pub(super) async fn read(db: &DatabaseConnection) -> Result<Self, DbErr> {
        loop {
            let indexes = Self::read_once(db).await?;
            if head::generation(db).await? == indexes.generation {
                return Ok(indexes);
            }
        }
    }

    async fn read_once(db: &DatabaseConnection) -> Result<Self, DbErr> {
        let generation = head::generation(db).await?;
        let rows = search_index::Entity::find()
            .order_by_asc(search_index::Column::Epoch)
            .order_by_asc(search_index::Column::Attribute);
        let all = rows.all(db).await?.into_iter().map(Index::try_from).collect::<Result<_, _>>()?;
        Ok(Self { generation, all, keys: index_keys::all(db).await? })
    }

    /// The indexes that a value of an attribute is written into.
    pub(super) fn written<'i>(&'i self, attribute: &'i str) -> impl Iterator<Item = &'i Index> {
        self.all.iter().filter(move |index| index.attribute == attribute && index.is_written())
    }

    /// The index that serves who looks for somebody. None does whose key is gone.
    pub(super) fn serving(&self, searched: &Searched) -> Option<&Index> {
        let serves = |index: &&Index| {
            index.state == IndexState::Ready && index.is_as(searched) && self.key(index.epoch).is_some()
        };
        self.all.iter().rev().find(serves)
    }

    /// The key of an epoch.
    pub(super) fn key(&self, epoch: i32) -> Option<&StoredIndexKey> {
        self.keys.iter().find(|key| key.id.epoch == epoch)
    }

    pub(super) fn has_key(&self, id: IndexKeyId) -> bool {
        self.keys.iter().any(|key| key.id == id)
    }
}
