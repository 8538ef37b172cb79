use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
    sea_query::{Expr, ExprTrait, JoinType, Query, SelectStatement},
};

use super::content::Content;
use crate::{
    entity::{
        audit_event::{Column, Entity, Model},
        audit_event_subject, audit_group_subject,
    },
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
    /// Whom it concerns. If it is more than a hundred, the first of them.
    pub subjects: Vec<SubjectId>,
    /// How often it happened.
    pub count: i32,
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
    /// Of the text that the digest is taken over.
    pub version: i16,
}

impl Event {
    /// Whom it concerns, if it is one.
    #[must_use]
    pub fn subject(&self) -> Option<SubjectId> {
        if let [one] = self.subjects[..] { Some(one) } else { None }
    }
}

/// Which events. Empty: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those that concern this subject, alone or among others.
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
pub struct EventPageRequest {
    /// At most this many.
    pub size: u64,
    /// Only events after this place.
    pub after: Option<i64>,
    /// Only events before this place.
    pub before: Option<i64>,
}

/// Some events, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
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
pub async fn page(
    db: &impl ConnectionTrait,
    filter: &Filter,
    request: EventPageRequest,
) -> Result<EventPage, DbErr> {
    // No actor has such a name, and databases differ in what they take for a text at all.
    if filter.actor.as_ref().is_some_and(|actor| actor.contains(char::is_control)) {
        return Ok(EventPage { events: Vec::new(), has_next: false });
    }
    // One more than asked for tells whether there are more, without counting.
    let limit = request.size + 1;
    let mut rows = match filter.subject {
        None => select(filter, request).limit(limit).all(db).await?,
        Some(subject) => of_subject(db, subject, filter, request, limit).await?,
    };
    let has_next = rows.len() as u64 > request.size;
    rows.truncate(usize::try_from(request.size).unwrap_or(usize::MAX));
    Ok(EventPage { events: rows.into_iter().map(Event::from).collect(), has_next })
}

/// Events that concern a subject alone are found by their own column, the others by the groups that the subject is in; older ones
/// by an index of their own. By three questions: none that asks for two at once uses an index for either. Whatever is appended
/// between them is left for later, so that nobody who goes on from the last event has missed one.
async fn of_subject(
    db: &impl ConnectionTrait,
    subject: SubjectId,
    filter: &Filter,
    request: EventPageRequest,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let newest = Entity::find().order_by_desc(Column::Sequence).one(db).await?;
    let Some(newest) = newest.map(|event| event.sequence) else { return Ok(Vec::new()) };
    let before = request.before.map_or(newest + 1, |before| Ord::min(before, newest + 1));
    let request = EventPageRequest { before: Some(before), ..request };
    let mut rows = Vec::new();
    for index in [
        Column::SubjectId.eq(*subject.as_uuid()),
        Column::Sequence.in_subquery(grouped(db.get_database_backend(), subject, filter, request, limit)),
        Column::Sequence.in_subquery(older(subject, request)),
    ] {
        rows.extend(select(filter, request).filter(index).limit(limit).all(db).await?);
    }
    rows.sort_unstable_by_key(|row| row.sequence);
    rows.dedup_by_key(|row| row.sequence);
    Ok(rows)
}

/// Where the first events are that concern a group which the subject is in. On PostgreSQL the first of each group: from all of them
/// it would choose those that fit after it had found all. SQLite has no lateral joins.
fn grouped(
    backend: DbBackend,
    subject: SubjectId,
    filter: &Filter,
    request: EventPageRequest,
    limit: u64,
) -> SelectStatement {
    use audit_group_subject::{Column as Member, Entity as Members};
    let of_subject = Member::SubjectId.eq(*subject.as_uuid());
    if backend != DbBackend::Postgres {
        let groups = Query::select().column(Member::GroupId).from(Members).and_where(of_subject).take();
        let events = select(filter, request).filter(Column::GroupId.in_subquery(groups));
        return events.select_only().column(Column::Sequence).into_query();
    }
    let own_group = Expr::col((Entity, Column::GroupId)).equals((Members, Member::GroupId));
    let first = select(filter, request).filter(own_group).limit(limit);
    let first = first.select_only().column(Column::Sequence).into_query();
    Query::select()
        .column(("first", Column::Sequence))
        .from(Members)
        .join_lateral(JoinType::InnerJoin, first, "first", Expr::val(true))
        .and_where(of_subject)
        .take()
}

/// Where the events are that concern the subject among others, and are older than groups.
fn older(subject: SubjectId, request: EventPageRequest) -> SelectStatement {
    use audit_event_subject::{Column, Entity};
    let between = Condition::all()
        .add_option(request.after.map(|after| Column::Sequence.gt(after)))
        .add_option(request.before.map(|before| Column::Sequence.lt(before)));
    Query::select()
        .column(Column::Sequence)
        .from(Entity)
        .and_where(Column::SubjectId.eq(*subject.as_uuid()))
        .cond_where(between)
        .take()
}

/// What fits, but for the subject, the oldest first.
fn select(filter: &Filter, request: EventPageRequest) -> Select<Entity> {
    let condition = Condition::all()
        .add_option(filter.actor.as_ref().map(|actor| Column::Actor.eq(actor)))
        .add_option(filter.since.map(|since| Column::OccurredAt.gte(since)))
        .add_option(filter.until.map(|until| Column::OccurredAt.lt(until)))
        .add_option(request.after.map(|after| Column::Sequence.gt(after)))
        .add_option(request.before.map(|before| Column::Sequence.lt(before)));
    Entity::find().filter(condition).order_by_asc(Column::Sequence)
}

impl From<Model> for Event {
    fn from(row: Model) -> Self {
        let several = Content::from(&row).several().map(SubjectId::from);
        let subjects = row.subject_id.map(SubjectId::from).into_iter().chain(several).collect();
        Self {
            sequence: row.sequence,
            occurred_at: row.occurred_at,
            actor: row.actor,
            action: row.action,
            subjects,
            count: row.count,
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
            version: row.version,
        }
    }
}
