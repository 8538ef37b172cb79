use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::{
    entity::audit_event::{Column, Entity, Model},
    envelope::SubjectId,
};

/// An event of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The place in the trail: 1 for the first, without gaps.
    pub sequence: i64,
    /// When it happened. It was written then or a little later: the order of the trail is that of writing.
    pub occurred_at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// What was done: an [`Action`](super::Action)'s name.
    pub action: String,
    /// Whom it concerns.
    pub subject: Option<SubjectId>,
    /// Names of attributes.
    pub attributes: Vec<String>,
    /// What else it is about.
    pub target: Option<String>,
    /// Within which request.
    pub request_id: Option<String>,
    /// What became of it: an [`Outcome`](super::Outcome)'s name.
    pub outcome: String,
    /// The digest of the event before.
    pub previous_digest: Vec<u8>,
    /// SHA-256 over this event and the digest before.
    pub digest: Vec<u8>,
}

/// Which events. Empty: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those that concern this subject.
    pub subject: Option<SubjectId>,
    /// Only those of this actor.
    pub actor: Option<String>,
    /// Only what happened at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Only what happened before this moment.
    pub until: Option<DateTime<Utc>>,
}

/// A page of events, by keyset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// At most this many.
    pub size: u64,
    /// Only events after this place.
    pub after: Option<i64>,
    /// Only events before this place.
    pub before: Option<i64>,
}

/// Some events, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// Whether there are events after these that fit, too.
    pub has_next: bool,
}

/// The first events that fit, in the order of the trail.
///
/// # Errors
///
/// The database's error.
pub async fn page(db: &impl ConnectionTrait, filter: &Filter, request: PageRequest) -> Result<Page, DbErr> {
    let condition = Condition::all()
        .add_option(filter.subject.map(|subject| Column::SubjectId.eq(*subject.as_uuid())))
        .add_option(filter.actor.as_ref().map(|actor| Column::Actor.eq(actor)))
        .add_option(filter.since.map(|since| Column::OccurredAt.gte(since)))
        .add_option(filter.until.map(|until| Column::OccurredAt.lt(until)))
        .add_option(request.after.map(|after| Column::Sequence.gt(after)))
        .add_option(request.before.map(|before| Column::Sequence.lt(before)));
    // One more than asked for tells whether there are more, without counting.
    let select = Entity::find().filter(condition).order_by_asc(Column::Sequence).limit(request.size + 1);
    let mut rows = select.all(db).await?;
    let has_next = rows.len() as u64 > request.size;
    rows.truncate(usize::try_from(request.size).unwrap_or(usize::MAX));
    Ok(Page { events: rows.into_iter().map(Event::from).collect(), has_next })
}

impl From<Model> for Event {
    fn from(row: Model) -> Self {
        Self {
            sequence: row.sequence,
            occurred_at: row.occurred_at,
            actor: row.actor,
            action: row.action,
            subject: row.subject_id.map(SubjectId::from),
            attributes: row
                .attributes
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            target: row.target,
            request_id: row.request_id,
            outcome: row.outcome,
            previous_digest: row.previous_digest,
            digest: row.digest,
        }
    }
}
