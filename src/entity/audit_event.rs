//! `audit_events`: who did what to whom, a hash chain.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    /// 1 for the first, without gaps.
    #[sea_orm(primary_key, auto_increment = false)]
    pub sequence: i64,
    pub occurred_at: DateTimeUtc,
    pub actor: String,
    pub action: String,
    pub subject_id: Option<Uuid>,
    /// Names, joined by commas. Never values.
    pub attributes: String,
    pub target: Option<String>,
    pub request_id: Option<String>,
    pub outcome: String,
    pub previous_digest: Vec<u8>,
    pub digest: Vec<u8>,
    /// Of the text that the digest is taken over.
    pub version: i16,
    /// How often it happened.
    pub count: i32,
    /// If it concerns several subjects: their ids, joined by commas; and none in `subject_id`.
    pub subject_ids: Option<String>,
    /// Which group of subjects that is, if events about several are found by it.
    pub group_id: Option<Uuid>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
