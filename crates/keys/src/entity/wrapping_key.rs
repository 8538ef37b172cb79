//! `wrapping_keys`: whether anything may still be wrapped under a wrapping key.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "wrapping_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub kek_id: String,
    /// The name of the key backend that used it first, where that is known.
    pub backend: Option<String>,
    /// `active`, `retiring` or `retired`.
    pub state: String,
    pub first_used_at: DateTimeUtc,
    pub retiring_at: Option<DateTimeUtc>,
    pub retired_at: Option<DateTimeUtc>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
