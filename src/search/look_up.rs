use std::future::Future;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
    sea_query::{Expr, Query},
};
use uuid::Uuid;

use super::{Search, SearchError, Searched};
use crate::{
    entity::{
        blind_index::{Column, Entity},
        search_head,
    },
    envelope::{IndexTag, PersonalText, SubjectId},
    keys::index_keys::StoredIndexKey,
};

/// How often a look-up is made anew if the indexes change meanwhile.
const ATTEMPTS: usize = 5;

/// A tag in an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wanted {
    /// The place of its attribute.
    attribute: usize,
    epoch: i32,
    tag: IndexTag,
}

/// The same, as the columns of an index have it.
#[derive(Clone, Copy)]
pub(crate) struct WantedRow<'w> {
    pub(crate) attribute: &'w str,
    pub(crate) epoch: i32,
    pub(crate) tag: &'w [u8],
}

/// What there is of a tag, and of which generation of the indexes.
#[derive(Clone, Debug)]
pub(crate) struct Hit<T> {
    pub(crate) generation: Uuid,
    pub(crate) found: T,
}

/// Some of the subjects of a value, in the order of their ids.
#[derive(Debug)]
pub struct TagPage {
    /// Those.
    pub subjects: Vec<SubjectId>,
    /// Whether there are more behind them.
    pub has_next: bool,
}

impl Search {
    /// The subjects who have a value, which was checked, of an attribute, a page at a time. By their tags: whether they have that value is to be seen when
    /// it is opened.
    ///
    /// # Errors
    ///
    /// [`SearchError::NotReady`], [`SearchError::Keys`], [`SearchError::Database`].
    pub async fn page(
        &self,
        attribute: &str,
        value: &PersonalText,
        after: Option<SubjectId>,
        size: u64,
    ) -> Result<TagPage, SearchError> {
        let found = self.look_up(attribute, value, |wanted| {
            let search = self.clone();
            async move { find(&search.0.db, search.row(&wanted), after, size.saturating_add(1)).await }
        });
        let mut subjects = found.await?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let has_next = subjects.len() > size;
        subjects.truncate(size);
        Ok(TagPage { subjects, has_next })
    }

    /// Looks up in the index that serves now, by what finds a tag: what is found in another generation than the one that was remembered may be of an index
    /// that is being deleted.
    pub(crate) async fn look_up<T, F: Future<Output = Result<Hit<T>, DbErr>> + Send>(
        &self,
        attribute: &str,
        value: &PersonalText,
        find: impl Fn(Wanted) -> F + Send + Sync,
    ) -> Result<T, SearchError> {
        let not_ready = || SearchError::NotReady { attribute: attribute.to_owned() };
        let (place, searched) = self.searched(attribute).ok_or_else(not_ready)?;
        let mut indexes = self.indexes().await?;
        for _ in 0..ATTEMPTS {
            let mut failed = None;
            if let Some(index) = indexes.serving(searched)
                && let Some(stored) = indexes.key(index.epoch)
            {
                match self.tag_in(searched, stored, value).await {
                    Ok(tag) => {
                        let hit = find(Wanted { attribute: place, epoch: index.epoch, tag }).await?;
                        if hit.generation == indexes.generation {
                            return Ok(hit.found);
                        }
                    }
                    // It may have been another one for a while.
                    Err(error) => failed = Some(error),
                }
            }
            let remembered = indexes.generation;
            indexes = self.read_again().await?;
            if indexes.generation == remembered {
                return Err(failed.unwrap_or_else(not_ready));
            }
        }
        Err(not_ready())
    }

    async fn tag_in(
        &self,
        searched: &Searched,
        stored: &StoredIndexKey,
        value: &PersonalText,
    ) -> Result<IndexTag, SearchError> {
        let key = self.0.keyring.index_keys().open(stored).await?;
        self.tag(searched, &key, value).await
    }

    /// A tag as the columns have it.
    pub(crate) fn row<'w>(&'w self, wanted: &'w Wanted) -> WantedRow<'w> {
        let attribute = self.0.searched.get(wanted.attribute).map_or("", |searched| &searched.name);
        WantedRow { attribute, epoch: wanted.epoch, tag: wanted.tag.as_bytes() }
    }
}

/// The generation could not be read.
pub(crate) fn no_head() -> DbErr {
    DbErr::RecordNotFound("search_head has no row".to_owned())
}

/// One statement, which also tells the generation.
async fn find(
    db: &DatabaseConnection,
    wanted: WantedRow<'_>,
    after: Option<SubjectId>,
    limit: u64,
) -> Result<Hit<Vec<SubjectId>>, DbErr> {
    let mut tags = Entity::find()
        .select_only()
        .column(Column::SubjectId)
        .filter(Column::Attribute.eq(wanted.attribute))
        .filter(Column::Epoch.eq(wanted.epoch))
        .filter(Column::Tag.eq(wanted.tag.to_vec()));
    if let Some(after) = after {
        tags = tags.filter(Column::SubjectId.gt(*after.as_uuid()));
    }
    let tags = tags.order_by_asc(Column::Holder).limit(limit).into_query();
    let mut select = Query::select();
    select
        .column((search_head::Entity, search_head::Column::Generation))
        .column((HITS, Column::SubjectId))
        .from(search_head::Entity)
        .join_subquery(sea_orm::JoinType::LeftJoin, tags, HITS, Expr::cust("TRUE"));
    let rows = db.query_all(&select).await?;
    let mut hit: Option<Hit<Vec<SubjectId>>> = None;
    for row in rows {
        let generation = row.try_get_by_index(0)?;
        let hit = hit.get_or_insert_with(|| Hit { generation, found: Vec::new() });
        hit.found.extend(row.try_get_by_index::<Option<Uuid>>(1)?.map(SubjectId::from));
    }
    let mut hit = hit.ok_or_else(no_head)?;
    hit.found.sort_unstable();
    Ok(hit)
}

const HITS: &str = "hits";
