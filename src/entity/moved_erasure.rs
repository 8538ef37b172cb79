//! `moved_erasures`: entries of the erasure ledger that have another place since the database was brought forward.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "moved_erasures")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Where the entry stood.
    pub old_sequence: i64,
    pub old_digest: Vec<u8>,
    /// Where the erasure of the same person stands now.
    pub sequence: i64,
    pub moved_at: DateTimeUtc,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
