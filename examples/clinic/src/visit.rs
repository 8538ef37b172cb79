//! `visits`: what was said at each, sealed.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use oubliette_envelope::{Attribute, AttributeError, Encrypted, PersonalText};
use oubliette_keys::sealed_model;
use sea_orm::entity::prelude::*;

#[derive(Debug)]
pub enum Note {}

impl Attribute for Note {
    const NAME: &'static str = "visits.note";
    const FIELD: &'static str = "note";

    fn parse(input: &str) -> Result<PersonalText, AttributeError> {
        Ok(PersonalText::new(input.to_owned()))
    }
}

sealed_model! {
    subject: patient_id in Column::PatientId;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "visits")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub patient_id: Uuid,
        pub note: Encrypted<Note>,
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
