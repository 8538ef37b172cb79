use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::entity::audit_event::Model;

/// What an event says, wherever it is kept: all but its place in the chain. A text that is absent is empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) actor: &'a str,
    pub(super) action: &'a str,
    pub(super) subject_id: Option<Uuid>,
    pub(super) attributes: &'a str,
    pub(super) target: &'a str,
    pub(super) request_id: &'a str,
    pub(super) outcome: &'a str,
}

impl<'a> From<&'a Model> for Content<'a> {
    fn from(row: &'a Model) -> Self {
        Self {
            occurred_at: row.occurred_at,
            actor: &row.actor,
            action: &row.action,
            subject_id: row.subject_id,
            attributes: &row.attributes,
            target: row.target.as_deref().unwrap_or_default(),
            request_id: row.request_id.as_deref().unwrap_or_default(),
            outcome: &row.outcome,
        }
    }
}
