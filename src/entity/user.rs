//! `users`: the username in the clear, every personal attribute sealed.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use sea_orm::entity::prelude::*;

use crate::{
    attributes::{Email, Phone, personal_data},
    envelope::Encrypted,
};

#[derive(Clone, Debug, Default, PartialEq, Eq, DeriveEntityModel)]
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

personal_data! {
    Model {
        subject: id in Column::Id,
        plain: [
            username in Column::Username,
            created_at in Column::CreatedAt,
            updated_at in Column::UpdatedAt,
        ],
    }
    email: Email,
    phone: Phone,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::RESERVED;

    #[test]
    fn nobody_declares_an_attribute_that_is_a_column() {
        assert!(PersonalAttribute::ALL.iter().all(|attribute| RESERVED.contains(&attribute.field())));
    }
}
