//! `personal_values`: the values of attributes that an operator declared, one row each.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use sea_orm::entity::prelude::*;

use super::SealedName;
use crate::{attributes::Declared, envelope::Encrypted, keys::sealed_row};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "personal_values")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub attribute: SealedName,
    pub sealed: Encrypted<Declared>,
    pub updated_at: DateTimeUtc,
}

sealed_row!(Model {
    subject: subject_id in Column::SubjectId,
    sealed: [sealed by attribute],
    plain: [attribute, updated_at],
});

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
