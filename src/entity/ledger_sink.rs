//! `ledger_sinks`: who publishes the erasure ledger to each sink, and how far.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_sinks")]
pub struct Model {
    /// As the configuration names it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The newest entry that was published to it.
    pub published_sequence: i64,
    /// The server whose turn it is.
    pub holder: Option<Uuid>,
    pub held_until: Option<DateTimeUtc>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
