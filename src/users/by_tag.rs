use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement, Value,
    sea_query::ArrayType,
};
use uuid::Uuid;

use super::Columns;
use crate::{
    database::Together,
    entity::user::{Column, Model},
    search::{Hit, Search, Wanted},
};

/// The rows of users who have a tag, with some of their columns: two at most of each tag.
pub(super) type TaggedRows = Together<(Columns, Wanted), Hit<Vec<Model>>>;

/// So many users of one tag are told from one.
pub(super) const FEW: usize = 2;

/// Each tag's subjects are looked up by the primary key, two at most, and their rows by theirs. Each array is a question of its own, so that the plan does not
/// depend on its length and is kept: to plan took longer than to find.
const ON_POSTGRES: &str = "wanted.place, head.generation FROM search_head head \
    CROSS JOIN unnest((SELECT $1::int4[]), (SELECT $2::text[]), (SELECT $3::int4[]), (SELECT $4::bytea[])) AS wanted(place, attribute, epoch, tag) \
    LEFT JOIN LATERAL (SELECT subject_id FROM blind_indexes own WHERE own.attribute = wanted.attribute \
    AND own.epoch = wanted.epoch AND own.tag = wanted.tag LIMIT 2) AS hits ON TRUE \
    LEFT JOIN users ON users.id = hits.subject_id";

/// The same for one tag.
const OF_ONE: &str = "0, head.generation FROM search_head head \
    LEFT JOIN (SELECT subject_id FROM blind_indexes WHERE attribute = $1 AND epoch = $2 AND tag = $3 LIMIT 2) AS hits ON TRUE \
    LEFT JOIN users ON users.id = hits.subject_id";

/// The rows in a database.
pub(super) fn tagged_rows(db: DatabaseConnection, search: Search) -> TaggedRows {
    TaggedRows::new(move |wanted| {
        let (db, search) = (db.clone(), search.clone());
        Box::pin(async move {
            if wanted.len() > 1 && db.get_database_backend() == DbBackend::Postgres {
                return find_together(&db, &search, wanted).await;
            }
            let mut found = Vec::with_capacity(wanted.len());
            for key in wanted {
                found.extend(find_alone(&db, &search, key).await?.map(|hit| (key, hit)));
            }
            Ok(found)
        })
    })
}

type Key = (Columns, Wanted);

/// One statement for all, with the columns that any of them needs.
async fn find_together(
    db: &DatabaseConnection,
    search: &Search,
    wanted: Vec<Key>,
) -> Result<Vec<(Key, Hit<Vec<Model>>)>, DbErr> {
    let columns = wanted.iter().fold(Columns::ID, |all, (columns, _)| all.and(*columns));
    let array = |array, values: Vec<Value>| Value::Array(array, Some(Box::new(values)));
    let rows = || wanted.iter().map(|(_, wanted)| search.row(wanted));
    let places = 0..i32::try_from(wanted.len()).unwrap_or(i32::MAX);
    let values = [
        array(ArrayType::Int, places.map(Value::from).collect()),
        array(ArrayType::String, rows().map(|row| row.attribute.into()).collect()),
        array(ArrayType::Int, rows().map(|row| row.epoch.into()).collect()),
        array(ArrayType::Bytes, rows().map(|row| row.tag.to_vec().into()).collect()),
    ];
    let sql = format!("SELECT {}, {ON_POSTGRES}", columns.of("users"));
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let mut hits: Vec<Option<Hit<Vec<Model>>>> = vec![None; wanted.len()];
    for row in db.query_all_raw(statement).await? {
        let place: i32 = row.try_get_by_index(Columns::count())?;
        if let Some(hit) = usize::try_from(place).ok().and_then(|place| hits.get_mut(place)) {
            add(hit, &row)?;
        }
    }
    Ok(wanted.into_iter().zip(hits).filter_map(|(wanted, hit)| Some((wanted, hit?))).collect())
}

async fn find_alone(
    db: &DatabaseConnection,
    search: &Search,
    (columns, wanted): Key,
) -> Result<Option<Hit<Vec<Model>>>, DbErr> {
    let row = search.row(&wanted);
    let values: [Value; 3] = [row.attribute.into(), row.epoch.into(), row.tag.to_vec().into()];
    let sql = format!("SELECT {}, {OF_ONE}", columns.of("users"));
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let mut hit = None;
    for row in db.query_all_raw(statement).await? {
        add(&mut hit, &row)?;
    }
    Ok(hit)
}

/// Each row tells the generation, and a user if there is one.
fn add(hit: &mut Option<Hit<Vec<Model>>>, row: &QueryResult) -> Result<(), DbErr> {
    let generation = row.try_get_by_index(Columns::count() + 1)?;
    let hit = hit.get_or_insert_with(|| Hit { generation, found: Vec::new() });
    if row.try_get_by_index::<Option<Uuid>>(Column::Id as usize)?.is_some() {
        hit.found.push(Model::by_places(row)?);
    }
    Ok(())
}
