use std::sync::Arc;

use super::{UserAttribute, UserError};
use crate::{
    attributes::{AttributeName, Change, Declaration},
    entity::user::{PersonalAttribute, PersonalChanges},
    envelope::{AttributeError, PersonalText},
    search::TaggedChange,
};

/// What becomes of a user's personal attributes, checked.
#[derive(Debug, Default)]
pub struct AttributeChanges {
    pub(super) columns: PersonalChanges,
    pub(super) declared: Vec<DeclaredChange>,
}

/// What becomes of one that was declared.
#[derive(Debug)]
pub(super) struct DeclaredChange {
    pub(super) declaration: Arc<Declaration>,
    pub(super) change: Change<PersonalText>,
}

impl AttributeChanges {
    /// Checks what becomes of one more.
    ///
    /// # Errors
    ///
    /// [`UserError::Invalid`]: by the attribute's own rules, or since it was given already.
    pub fn add(&mut self, attribute: &UserAttribute, change: Change<&str>) -> Result<(), UserError> {
        let refused =
            |problem: String| UserError::Invalid { field: attribute.name().to_owned().into(), problem };
        if self.has(attribute) {
            return Err(refused("is given twice".to_owned()));
        }
        let checked: Result<(), AttributeError> = match attribute {
            UserAttribute::Column(attribute) => self.columns.set(*attribute, change),
            UserAttribute::Declared(declaration) => {
                change.try_map(|value| declaration.parse(value)).map(|change| {
                    self.declared.push(DeclaredChange { declaration: declaration.clone(), change });
                })
            }
        };
        checked.map_err(|error| refused(error.to_string()))
    }

    fn has(&self, attribute: &UserAttribute) -> bool {
        match attribute {
            UserAttribute::Column(attribute) => self.columns.has(*attribute),
            UserAttribute::Declared(declaration) => {
                self.declared.iter().any(|known| known.declaration.name() == declaration.name())
            }
        }
    }

    /// The names of the attributes that change.
    #[must_use]
    pub fn names(&self) -> Vec<AttributeName> {
        let declared = self.declared.iter().map(|one| AttributeName::of_field(one.declaration.name()));
        self.columns.names().into_iter().chain(declared).collect()
    }

    /// The new values, each with its attribute.
    pub(super) fn new_values(&self) -> impl Iterator<Item = (UserAttribute, &PersonalText)> {
        let columns = PersonalAttribute::ALL.iter().filter_map(|attribute| {
            Some((UserAttribute::Column(*attribute), self.columns.new_value(*attribute)?))
        });
        let declared = self.declared.iter().filter_map(|one| match &one.change {
            Change::Replace(value) => Some((UserAttribute::Declared(one.declaration.clone()), value)),
            Change::Keep | Change::Remove => None,
        });
        columns.chain(declared)
    }

    /// What becomes of each attribute that changes, to be tagged.
    pub(super) fn tagged(&self) -> impl Iterator<Item = TaggedChange<'_>> {
        let columns = PersonalAttribute::ALL.iter().filter(|attribute| self.columns.has(**attribute)).map(
            |attribute| TaggedChange {
                attribute: attribute.field(),
                value: self.columns.new_value(*attribute),
            },
        );
        let declared = self.declared.iter().filter_map(|one| {
            let value = match &one.change {
                Change::Keep => return None,
                Change::Remove => None,
                Change::Replace(value) => Some(value),
            };
            Some(TaggedChange { attribute: one.declaration.name(), value })
        });
        columns.chain(declared)
    }

    /// Whether anything has to be sealed.
    pub(super) fn seals(&self) -> bool {
        self.columns.seals() || self.declared.iter().any(|one| matches!(one.change, Change::Replace(_)))
    }
}

impl From<PersonalChanges> for AttributeChanges {
    fn from(columns: PersonalChanges) -> Self {
        Self { columns, declared: Vec::new() }
    }
}
