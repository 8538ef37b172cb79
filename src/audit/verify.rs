use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set, Unchanged};
use uuid::Uuid;

use super::content::Content;
use crate::{
    chain::{self, Entry, HEAD_ID, Head, Link, Row, Table, Verification, Words},
    database::one_of,
    entity::{audit_event, audit_event_subject, audit_group_subject, audit_head},
};

/// The chain of all events.
pub(super) struct Events;

/// The trail's head, as the database has it now; `None` if somebody has removed it.
///
/// # Errors
///
/// The database's error.
pub async fn head(db: &impl ConnectionTrait) -> Result<Option<Head>, DbErr> {
    chain::head::<Events>(db).await
}

/// Walks the whole trail, and its index of subjects: see [`Verification`]. `kept` is a head that was kept elsewhere.
///
/// # Errors
///
/// The database's error.
pub async fn verify(db: &impl ConnectionTrait, kept: Option<&Head>) -> Result<Verification, DbErr> {
    chain::verify::<Events>(db, kept).await
}

impl Table for Events {
    const WORDS: &'static Words = &Words {
        name: "the audit trail",
        chain: "trail",
        entry: "event",
        entries: "events",
        index: "the subjects that it names: its rows in audit_group_subjects, or in audit_event_subjects",
    };
    const SEQUENCE: audit_event::Column = audit_event::Column::Sequence;
    type Row = audit_event::Model;
    type Entries = audit_event::Entity;
    type Heads = audit_head::Entity;

    fn head_row(head: &Head) -> audit_head::ActiveModel {
        audit_head::ActiveModel {
            id: Unchanged(HEAD_ID),
            sequence: Set(head.sequence),
            digest: Set(head.digest.clone()),
        }
    }

    async fn misindexed(
        db: &impl ConnectionTrait,
        after: Option<i64>,
        page: &[audit_event::Model],
    ) -> Result<Option<i64>, DbErr> {
        let Some(last) = page.last() else { return Ok(None) };
        let mut index = index(db, after, last.sequence).await?;
        let groups = groups(db, page).await?;
        for row in page {
            let mut indexed = index.remove(&row.sequence).unwrap_or_default();
            indexed.extend(row.group_id.and_then(|group| groups.get(&group)).into_iter().flatten());
            // Else the next event about these subjects would find the rows of another group.
            let is_own = row.group_id.is_none_or(|group| Content::from(row).group() == Some(group));
            if !is_own || Content::from(row).several().collect::<BTreeSet<_>>() != indexed {
                return Ok(Some(row.sequence));
            }
        }
        // The page has no gap: what is left is of no event.
        Ok(index.into_keys().next())
    }
}

impl Row for audit_event::Model {
    fn link(&self) -> Link<'_, impl Entry> {
        Link {
            sequence: self.sequence,
            previous_digest: &self.previous_digest,
            digest: &self.digest,
            entry: Content::from(self),
        }
    }
}

impl From<audit_head::Model> for Head {
    fn from(row: audit_head::Model) -> Self {
        Self { sequence: row.sequence, digest: row.digest }
    }
}

/// The groups of the events of a page.
async fn groups(
    db: &impl ConnectionTrait,
    page: &[audit_event::Model],
) -> Result<BTreeMap<Uuid, BTreeSet<Uuid>>, DbErr> {
    use audit_group_subject::{Column, Entity};
    let ids: BTreeSet<_> = page.iter().filter_map(|row| row.group_id).collect();
    let mut groups: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    if !ids.is_empty() {
        let these = one_of(db.get_database_backend(), Column::GroupId, ids.into_iter().collect());
        for row in Entity::find().filter(these).all(db).await? {
            groups.entry(row.group_id).or_default().insert(row.subject_id);
        }
    }
    Ok(groups)
}

/// By which subjects the events of a page are found that concern several, without a group.
async fn index(
    db: &impl ConnectionTrait,
    after: Option<i64>,
    up_to: i64,
) -> Result<BTreeMap<i64, BTreeSet<Uuid>>, DbErr> {
    use audit_event_subject::{Column, Entity};
    let mut select = Entity::find().filter(Column::Sequence.lte(up_to));
    if let Some(after) = after {
        select = select.filter(Column::Sequence.gt(after));
    }
    let mut index: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for row in select.all(db).await? {
        index.entry(row.sequence).or_default().insert(row.subject_id);
    }
    Ok(index)
}
