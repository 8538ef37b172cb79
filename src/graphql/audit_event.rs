use async_graphql::{
    Context, ID, Object, Result,
    connection::{Connection, CursorType, Edge, EmptyFields},
};
use chrono::{DateTime, Utc};

use super::{
    connection::{DEFAULT_PAGE_SIZE, NOT_A_CURSOR, decode, encode, page_size},
    errors::{UnreadableTrail, bad_input},
    scalars,
};
use crate::{
    audit::{Event, EventPageRequest, Filter, Trail},
    envelope::SubjectId,
};

/// `AuditEventConnection`, as Relay's cursor connections specification has it; forwards only.
pub(super) type AuditEventConnection = Connection<AuditCursor, AuditEventObject, EmptyFields, EmptyFields>;

/// A page of the audit trail.
pub(super) async fn audit_events(
    context: &Context<'_>,
    filter: Filter,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<AuditEventConnection> {
    let after = after.map(AuditCursor::decode_cursor).transpose();
    let request = EventPageRequest {
        size: first.map_or(Ok(DEFAULT_PAGE_SIZE), |first| page_size("first", first))?,
        after: after.map_err(|problem| bad_input("after", problem))?.map(|AuditCursor(sequence)| sequence),
        before: None,
    };
    let page = context.data_unchecked::<Trail>().page(&filter, request).await.map_err(UnreadableTrail)?;
    let mut connection = Connection::new(request.after.is_some(), page.has_next);
    connection.edges.extend(page.events.into_iter().map(|event| {
        let cursor = AuditCursor(event.sequence);
        Edge::new(cursor, AuditEventObject { event, about: filter.subject })
    }));
    Ok(connection)
}

/// A place in the trail. Opaque to clients.
pub(super) struct AuditCursor(i64);

impl CursorType for AuditCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let bytes = decode(text)?.try_into().map_err(|_| NOT_A_CURSOR)?;
        Ok(Self(i64::from_be_bytes(bytes)))
    }

    fn encode_cursor(&self) -> String {
        encode(&self.0.to_be_bytes())
    }
}

/// An event of the audit trail.
pub(super) struct AuditEventObject {
    event: Event,
    /// The subject who was asked about: of the others whom the event concerns, nothing is told.
    about: Option<SubjectId>,
}

/// Something that somebody did: an entry of a hash-chained trail. Names attributes, and never holds their values.
/// `docs/audit.md` tells how to check it. Its fields need no more than whatever led here.
#[Object(name = "AuditEvent")]
impl AuditEventObject {
    /// The place in the trail: 1 for the first, without gaps. Larger than an Int may be.
    async fn sequence(&self) -> ID {
        ID(self.event.sequence.to_string())
    }

    /// When it happened.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.event.occurred_at
    }

    /// Who: `token:…`, `jwt:…`, `self:…`, `admin:…`, `anonymous`.
    async fn actor(&self) -> &str {
        &self.event.actor
    }

    /// What was done: `read_pii`, `create`, `update`, `forget`, `token_…`, `key_…`; or what was refused, `read` and
    /// `requests_refused` among it.
    async fn action(&self) -> &str {
        &self.event.action
    }

    /// The id of the user whom it concerns, if it is one.
    async fn subject_id(&self) -> Option<ID> {
        self.event.subject().map(scalars::id)
    }

    /// The ids of all users whom it concerns; of the first hundred, if it is more. If one subject was asked about, only that one.
    async fn subject_ids(&self) -> Vec<ID> {
        let asked_about = |subject: &SubjectId| self.about.is_none_or(|about| about == *subject);
        self.event.subjects.iter().copied().filter(asked_about).map(scalars::id).collect()
    }

    /// How often it happened: what was refused in one request several times is one event, and a look at the same values of several
    /// users.
    async fn count(&self) -> i32 {
        self.event.count
    }

    /// Names of attributes, such as `email`.
    async fn attributes(&self) -> &[String] {
        &self.event.attributes
    }

    /// What else it is about: a token's id, a wrapping key, a run's id.
    async fn target(&self) -> Option<&str> {
        self.event.target.as_deref()
    }

    /// Within which request: the answer's `X-Request-Id`.
    async fn request_id(&self) -> Option<&str> {
        self.event.request_id.as_deref()
    }

    /// What became of it: `ok`, `denied`, `failed`.
    async fn outcome(&self) -> &str {
        &self.event.outcome
    }

    /// SHA-256 over this event and the previous one's digest, in hexadecimal.
    async fn digest(&self) -> String {
        hex::encode(&self.event.digest)
    }
}
