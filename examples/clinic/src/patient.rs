//! `patients`: the ward in the clear, the name sealed.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use oubliette_envelope::{Attribute, AttributeError, Encrypted, PersonalText};
use oubliette_keys::sealed_model;
use sea_orm::entity::prelude::*;

#[derive(Debug)]
pub enum Name {}

impl Attribute for Name {
    const NAME: &'static str = "patients.name";
    const FIELD: &'static str = "name";

    fn parse(input: &str) -> Result<PersonalText, AttributeError> {
        match input.trim() {
            "" => Err(AttributeError::new("is empty")),
            name => Ok(PersonalText::new(name.to_owned())),
        }
    }
}

sealed_model! {
    subject: id in Column::Id;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "patients")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub ward: String,
        pub name: Encrypted<Name>,
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
