//! `users`: the username in the clear, every personal attribute sealed.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use sea_orm::entity::prelude::*;

use crate::envelope::{
    Encrypted, SubjectId,
    attributes::{Email, Phone},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// The subject id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(unique)]
    pub username: String,
    #[sea_orm(column_name = "email_encrypted")]
    pub email: Option<Encrypted<Email>>,
    #[sea_orm(column_name = "phone_encrypted")]
    pub phone: Option<Encrypted<Phone>>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl Model {
    /// The user as a data subject.
    #[must_use]
    pub fn subject(&self) -> SubjectId {
        self.id.into()
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
