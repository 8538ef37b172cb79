//! `ledger_rollbacks`: the erasure ledger went back, and who has adopted it as it is since.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_rollbacks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The last entry that a server had read.
    pub seen_sequence: i64,
    pub seen_digest: Vec<u8>,
    /// The last entry that it found then.
    pub found_sequence: i64,
    pub found_digest: Vec<u8>,
    pub noticed_at: DateTimeUtc,
    /// The server.
    pub noticed_by: String,
    pub adopted_at: Option<DateTimeUtc>,
    pub adopted_by: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
