use std::sync::Arc;

use super::{Columns, UserAttribute};
use crate::attributes::Declaration;

/// What is read of users: what is not must not be asked for, or is read anew.
#[derive(Clone, Debug)]
pub struct Reads {
    /// Columns of theirs.
    pub columns: Columns,
    /// The values of these, in any order, each once.
    pub declared: Vec<Arc<Declaration>>,
}

impl Reads {
    /// The columns, and no value of a declared attribute.
    pub const COLUMNS: Self = Self { columns: Columns::ALL, declared: Vec::new() };

    /// The same with one attribute more.
    pub fn add(&mut self, attribute: &UserAttribute) {
        match attribute {
            UserAttribute::Column(attribute) => self.columns = self.columns.with(attribute.column()),
            UserAttribute::Declared(declaration) => {
                self.columns = self.columns.and(Columns::KEYED);
                if !self.declared.iter().any(|known| known.name() == declaration.name()) {
                    self.declared.push(declaration.clone());
                }
            }
        }
    }
}
