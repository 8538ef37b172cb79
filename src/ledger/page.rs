use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::{
    entity::erasure::{Column, Entity, Model},
    envelope::SubjectId,
};

/// Which entries. Empty: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this subject's.
    pub subject: Option<SubjectId>,
    /// Only those of this actor.
    pub actor: Option<String>,
    /// Only what happened at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Only what happened before this moment.
    pub until: Option<DateTime<Utc>>,
}

/// The first entries that fit after a place, in the order of the ledger. At most `size`.
///
/// # Errors
///
/// The database's error.
pub async fn page(
    db: &impl ConnectionTrait,
    filter: &Filter,
    after: Option<i64>,
    size: u64,
) -> Result<Vec<Model>, DbErr> {
    // No actor has such a name, and databases differ in what they take for a text at all.
    if filter.actor.as_ref().is_some_and(|actor| actor.contains(char::is_control)) {
        return Ok(Vec::new());
    }
    let condition = Condition::all()
        .add_option(after.map(|after| Column::Sequence.gt(after)))
        .add_option(filter.subject.map(|subject| Column::SubjectId.eq(*subject.as_uuid())))
        .add_option(filter.actor.as_ref().map(|actor| Column::Actor.eq(actor)))
        .add_option(filter.since.map(|since| Column::ErasedAt.gte(since)))
        .add_option(filter.until.map(|until| Column::ErasedAt.lt(until)));
    Entity::find().filter(condition).order_by_asc(Column::Sequence).limit(size).all(db).await
}
