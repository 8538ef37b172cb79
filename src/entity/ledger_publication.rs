//! `ledger_publication`: one row, how far the erasure ledger was signed.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_publication")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i16,
    /// The newest entry that a signed root covers, as far as this database knows.
    pub signed_sequence: i64,
    /// When a server was last at one with a sink; only now and then.
    pub reached_at: Option<DateTimeUtc>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
