//! `erasures`: the ledger of forgotten subjects, a hash chain.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "erasures")]
pub struct Model {
    /// 1 for the first, without gaps.
    #[sea_orm(primary_key, auto_increment = false)]
    pub sequence: i64,
    #[sea_orm(unique)]
    pub subject_id: Uuid,
    pub erased_at: DateTimeUtc,
    pub actor: String,
    /// One line per destroyed data key: `version kek_id sha256(wrapped)`.
    pub destroyed_keys: String,
    pub previous_digest: Vec<u8>,
    pub digest: Vec<u8>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
