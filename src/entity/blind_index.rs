//! `blind_indexes`: tags by which values are found again. Without the index key of their epoch they tell nothing.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "blind_indexes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub attribute: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub epoch: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub tag: Vec<u8>,
    /// The nil UUID where a value has one owner, so that the database keeps it so; else the subject.
    #[sea_orm(primary_key, auto_increment = false)]
    pub holder: Uuid,
    pub subject_id: Uuid,
}

/// Without the tag.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attribute, epoch, subject_id, .. } = self;
        write!(f, "BlindIndex({attribute}, epoch {epoch}, of {subject_id})")
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
