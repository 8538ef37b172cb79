//! `search_indexes`: what the tags of an attribute in an epoch were made with.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "search_indexes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub attribute: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub epoch: i32,
    /// Random: an attribute and an epoch may come again.
    #[sea_orm(unique)]
    pub id: Uuid,
    /// What was done to values before: `email/1`.
    pub rules: String,
    pub is_unique: bool,
    /// `building`, `ready` or `retiring`.
    pub state: String,
    pub created_at: DateTimeUtc,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
