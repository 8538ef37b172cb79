use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::entity::audit_event::Model;

/// What an event says, wherever it is kept: all but its place in the chain. A text that is absent is empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    /// Of the text that the digest is taken over.
    pub(super) version: i16,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) actor: &'a str,
    pub(super) action: &'a str,
    /// Whom it concerns, if it is one.
    pub(super) subject_id: Option<Uuid>,
    /// If it is more: their ids, joined by commas.
    pub(super) subject_ids: &'a str,
    pub(super) count: i32,
    pub(super) attributes: &'a str,
    pub(super) target: &'a str,
    pub(super) request_id: &'a str,
    pub(super) outcome: &'a str,
}

impl<'a> Content<'a> {
    /// Whether it is written in the one way in which its version is: what the text does not tell apart, nobody may
    /// exchange.
    pub(super) fn is_canonical(&self) -> bool {
        let one_way =
            self.subject_ids.is_empty() || (self.subject_id.is_none() && self.subject_ids.contains(','));
        one_way && (self.version != 1 || (self.count == 1 && self.subject_ids.is_empty()))
    }

    /// The subjects of an event that concerns several. What is no id is left out.
    pub(super) fn several(self) -> impl Iterator<Item = Uuid> + use<'a> {
        self.subject_ids.split(',').filter_map(|id| id.parse().ok())
    }
}

impl<'a> From<&'a Model> for Content<'a> {
    fn from(row: &'a Model) -> Self {
        Self {
            version: row.version,
            occurred_at: row.occurred_at,
            actor: &row.actor,
            action: &row.action,
            subject_id: row.subject_id,
            subject_ids: row.subject_ids.as_deref().unwrap_or_default(),
            count: row.count,
            attributes: &row.attributes,
            target: row.target.as_deref().unwrap_or_default(),
            request_id: row.request_id.as_deref().unwrap_or_default(),
            outcome: &row.outcome,
        }
    }
}
