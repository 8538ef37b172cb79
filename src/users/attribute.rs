use std::sync::Arc;

use super::Users;
use crate::{
    attributes::{AttributeKind, AttributeName, Declaration, Mask},
    entity::user::PersonalAttribute,
};

/// A personal attribute of users: a column of theirs, or one that an operator declared.
#[derive(Clone, Debug)]
pub enum UserAttribute {
    /// A column of `users`.
    Column(PersonalAttribute),
    /// Its values are rows of `personal_values`.
    Declared(Arc<Declaration>),
}

impl UserAttribute {
    /// The name: `full_name`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Column(attribute) => attribute.field(),
            Self::Declared(declaration) => declaration.name(),
        }
    }

    /// The name in the audit trail.
    #[must_use]
    pub fn recorded(&self) -> AttributeName {
        match self {
            Self::Column(attribute) => attribute.name(),
            Self::Declared(declaration) => AttributeName::of_field(declaration.name()),
        }
    }

    /// What its values are.
    #[must_use]
    pub fn kind(&self) -> AttributeKind {
        match self {
            Self::Column(attribute) => attribute.kind(),
            Self::Declared(declaration) => declaration.kind(),
        }
    }

    /// How its values are masked.
    #[must_use]
    pub fn mask(&self) -> Mask {
        match self {
            Self::Column(attribute) => attribute.kind().own_mask(),
            Self::Declared(declaration) => declaration.mask(),
        }
    }

    /// Most characters, of a text.
    #[must_use]
    pub fn max_length(&self) -> Option<usize> {
        match self {
            Self::Column(_) => None,
            Self::Declared(declaration) => declaration.max_length(),
        }
    }

    /// What a whole text must match, as it was declared.
    #[must_use]
    pub fn pattern(&self) -> Option<&str> {
        match self {
            Self::Column(_) => None,
            Self::Declared(declaration) => declaration.pattern(),
        }
    }

    /// A value, masked.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        match self {
            Self::Column(attribute) => attribute.mask(text),
            Self::Declared(declaration) => declaration.mask().apply(text),
        }
    }
}

impl PartialEq for UserAttribute {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for UserAttribute {}

impl From<PersonalAttribute> for UserAttribute {
    fn from(attribute: PersonalAttribute) -> Self {
        Self::Column(attribute)
    }
}

impl Users {
    /// The attribute with this name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<UserAttribute> {
        let column = PersonalAttribute::ALL.iter().find(|attribute| attribute.field() == name);
        column.map(|attribute| UserAttribute::Column(*attribute)).or_else(|| {
            self.declarations.get(name).map(|declaration| UserAttribute::Declared(declaration.clone()))
        })
    }

    /// All attributes: the columns, then what was declared, by name.
    pub fn attributes(&self) -> impl Iterator<Item = UserAttribute> {
        let columns = PersonalAttribute::ALL.iter().map(|attribute| UserAttribute::Column(*attribute));
        columns
            .chain(self.declarations.iter().map(|declaration| UserAttribute::Declared(declaration.clone())))
    }
}
