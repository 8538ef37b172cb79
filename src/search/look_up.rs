use std::sync::Arc;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Statement, Value,
    sea_query::{ArrayType, Expr, Query},
};
use uuid::Uuid;

use super::{Search, SearchError, Searched};
use crate::{
    database::Together,
    entity::{
        blind_index::{Column, Entity},
        search_head,
    },
    envelope::{IndexTag, PersonalText, SubjectId},
};

/// How often a look-up is made anew if the indexes change meanwhile.
const ATTEMPTS: usize = 5;

/// How many subjects of one tag are told from one: two are several.
pub(super) const FEW: usize = 2;

/// The subjects of some tags, at most two of each, and the generation that they are of.
pub(super) type Hits = Together<Wanted, Hit>;

/// A tag in an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wanted {
    /// The place of its attribute.
    attribute: usize,
    epoch: i32,
    tag: IndexTag,
}

/// What there is of a tag.
#[derive(Clone, Debug)]
pub(super) struct Hit {
    generation: Uuid,
    subjects: Vec<SubjectId>,
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
    /// The subjects who have a value, which was checked, of an attribute: two at most. By their tags: whether they have that value is to be seen when it
    /// is opened.
    ///
    /// # Errors
    ///
    /// [`SearchError::NotReady`], [`SearchError::Keys`], [`SearchError::Database`].
    pub async fn few(&self, attribute: &str, value: &PersonalText) -> Result<Vec<SubjectId>, SearchError> {
        Ok(self.look_up(attribute, value, Extent::Few).await?.subjects)
    }

    /// The same, as many as there are, a page at a time.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn page(
        &self,
        attribute: &str,
        value: &PersonalText,
        after: Option<SubjectId>,
        size: u64,
    ) -> Result<TagPage, SearchError> {
        let extent = Extent::Page { after, limit: size.saturating_add(1) };
        let mut subjects = self.look_up(attribute, value, extent).await?.subjects;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let has_next = subjects.len() > size;
        subjects.truncate(size);
        Ok(TagPage { subjects, has_next })
    }

    /// Looks up in the index that serves now: what is found in another generation than the one that was remembered may be of an index that is being
    /// deleted.
    async fn look_up(
        &self,
        attribute: &str,
        value: &PersonalText,
        extent: Extent,
    ) -> Result<Hit, SearchError> {
        let not_ready = || SearchError::NotReady { attribute: attribute.to_owned() };
        let (place, searched) = self.searched(attribute).ok_or_else(not_ready)?;
        let mut indexes = self.indexes().await?;
        for _ in 0..ATTEMPTS {
            let mut failed = None;
            if let Some(index) = indexes.serving(searched)
                && let Some(stored) = indexes.key(index.epoch)
            {
                match self.0.keyring.index_keys().open(stored).await {
                    Ok(key) => {
                        let tag = searched.matching.tag(&key, attribute, value);
                        let hit =
                            self.hit(Wanted { attribute: place, epoch: index.epoch, tag }, extent).await?;
                        if hit.generation == indexes.generation {
                            return Ok(hit);
                        }
                    }
                    // It may have been another one for a while.
                    Err(error) => failed = Some(error),
                }
            }
            let remembered = indexes.generation;
            indexes = self.read_again().await?;
            if indexes.generation == remembered {
                return Err(failed.map_or_else(not_ready, SearchError::from));
            }
        }
        Err(not_ready())
    }
}

/// How many subjects of a tag are found.
#[derive(Clone, Copy, Debug)]
enum Extent {
    Few,
    Page { after: Option<SubjectId>, limit: u64 },
}

impl Search {
    async fn hit(&self, wanted: Wanted, extent: Extent) -> Result<Hit, DbErr> {
        match extent {
            Extent::Few => self.0.hits.find(wanted).await?.ok_or_else(no_head),
            Extent::Page { after, limit } => find(&self.0.db, &self.0.searched, wanted, after, limit).await,
        }
    }
}

fn no_head() -> DbErr {
    DbErr::RecordNotFound("search_head has no row".to_owned())
}

/// What is looked up together.
pub(super) fn hits(db: DatabaseConnection, searched: Arc<[Searched]>) -> Hits {
    Hits::new(move |wanted| {
        let (db, searched) = (db.clone(), searched.clone());
        Box::pin(async move {
            if let [_, _, ..] = wanted[..]
                && db.get_database_backend() == DbBackend::Postgres
            {
                return find_together(&db, &searched, wanted).await;
            }
            let mut found = Vec::with_capacity(wanted.len());
            for wanted in wanted {
                found.push((wanted, find(&db, &searched, wanted, None, FEW as u64).await?));
            }
            Ok(found)
        })
    })
}

/// One statement, which also tells the generation.
async fn find(
    db: &DatabaseConnection,
    searched: &[Searched],
    wanted: Wanted,
    after: Option<SubjectId>,
    limit: u64,
) -> Result<Hit, DbErr> {
    let mut tags = Entity::find()
        .select_only()
        .column(Column::SubjectId)
        .filter(Column::Attribute.eq(name(searched, wanted)))
        .filter(Column::Epoch.eq(wanted.epoch))
        .filter(Column::Tag.eq(wanted.tag.as_bytes().to_vec()));
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
    let mut hit = None;
    for row in rows {
        let generation = row.try_get_by_index(0)?;
        let hit = hit.get_or_insert_with(|| Hit { generation, subjects: Vec::new() });
        hit.subjects.extend(row.try_get_by_index::<Option<Uuid>>(1)?.map(SubjectId::from));
    }
    let mut hit = hit.ok_or_else(no_head)?;
    hit.subjects.sort_unstable();
    Ok(hit)
}

const HITS: &str = "hits";

/// Each tag's subjects are looked up by the primary key, two at most.
const TOGETHER: &str = "SELECT wanted.place, head.generation, hits.subject_id FROM search_head head \
    CROSS JOIN unnest($1::int4[], $2::text[], $3::int4[], $4::bytea[]) AS wanted(place, attribute, epoch, tag) \
    LEFT JOIN LATERAL (SELECT subject_id FROM blind_indexes own WHERE own.attribute = wanted.attribute \
    AND own.epoch = wanted.epoch AND own.tag = wanted.tag LIMIT 2) AS hits ON TRUE";

async fn find_together(
    db: &DatabaseConnection,
    searched: &[Searched],
    wanted: Vec<Wanted>,
) -> Result<Vec<(Wanted, Hit)>, DbErr> {
    let array = |array, values: Vec<Value>| Value::Array(array, Some(Box::new(values)));
    let places = 0..i32::try_from(wanted.len()).unwrap_or(i32::MAX);
    let values = [
        array(ArrayType::Int, places.map(Value::from).collect()),
        array(ArrayType::String, wanted.iter().map(|one| name(searched, *one).into()).collect()),
        array(ArrayType::Int, wanted.iter().map(|one| one.epoch.into()).collect()),
        array(ArrayType::Bytes, wanted.iter().map(|one| one.tag.as_bytes().to_vec().into()).collect()),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, TOGETHER, values);
    let mut hits: Vec<Option<Hit>> = vec![None; wanted.len()];
    for row in db.query_all_raw(statement).await? {
        let (place, generation) = (row.try_get_by_index::<i32>(0)?, row.try_get_by_index(1)?);
        let Some(hit) = usize::try_from(place).ok().and_then(|place| hits.get_mut(place)) else { continue };
        let hit = hit.get_or_insert_with(|| Hit { generation, subjects: Vec::new() });
        hit.subjects.extend(row.try_get_by_index::<Option<Uuid>>(2)?.map(SubjectId::from));
    }
    Ok(wanted.into_iter().zip(hits).filter_map(|(wanted, hit)| Some((wanted, hit?))).collect())
}

/// The name of a tag's attribute.
fn name(searched: &[Searched], wanted: Wanted) -> &str {
    searched.get(wanted.attribute).map_or("", |searched| &searched.name)
}
