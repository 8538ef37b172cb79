use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, Variables,
    parser::types::{Field, FragmentDefinition, Selection, SelectionSet},
};

use super::json::write_text;
use crate::users::Users;

/// The fields of a selection set, in the document's order, fragments expanded.
#[derive(Debug)]
pub(super) struct Selected<F> {
    fields: Vec<Named<F>>,
}

#[derive(Debug)]
struct Named<F> {
    /// `"key":`
    key: Vec<u8>,
    field: F,
}

/// What stands around a selection: the fragments of the document, the values of variables, and whom it is about.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    pub(super) variables: &'a Variables,
    pub(super) users: &'a Users,
}

/// Fragments in one another, at most. More are left to the ordinary resolvers.
const MAX_NESTING: usize = 8;

impl<F> Selected<F> {
    /// What a document selects below a field whose type is `object`; `read` knows its fields. `None` if there is anything unusual
    /// about it.
    ///
    /// The document is valid, skipped fields are gone, and repeated ones are merged: see [`merge`](super::super::merge).
    pub(super) fn of(
        set: &SelectionSet,
        object: &str,
        around: &Around<'_>,
        read: impl Fn(&Field) -> Option<F>,
    ) -> Option<Self> {
        let mut selected = Self { fields: Vec::with_capacity(set.items.len()) };
        selected.add(set, object, around, &read, 0)?;
        // An object of which everything was skipped is null for the library.
        (!selected.fields.is_empty()).then_some(selected)
    }

    fn add(
        &mut self,
        set: &SelectionSet,
        object: &str,
        around: &Around<'_>,
        read: &impl Fn(&Field) -> Option<F>,
        nesting: usize,
    ) -> Option<()> {
        if nesting > MAX_NESTING {
            return None;
        }
        for selection in &set.items {
            if !selection.node.directives().is_empty() {
                return None;
            }
            let (condition, below) = match &selection.node {
                Selection::Field(field) => {
                    self.add_field(&field.node, read)?;
                    continue;
                }
                Selection::InlineFragment(fragment) => {
                    (fragment.node.type_condition.as_ref(), &fragment.node.selection_set)
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = &around.fragments.get(&spread.node.fragment_name.node)?.node;
                    if !fragment.directives.is_empty() {
                        return None;
                    }
                    (Some(&fragment.type_condition), &fragment.selection_set)
                }
            };
            if condition.is_some_and(|condition| condition.node.on.node != object) {
                return None;
            }
            self.add(&below.node, object, around, read, nesting + 1)?;
        }
        Some(())
    }

    fn add_field(&mut self, field: &Field, read: &impl Fn(&Field) -> Option<F>) -> Option<()> {
        let mut key = Vec::new();
        write_text(&mut key, &field.response_key().node);
        key.push(b':');
        if self.fields.iter().any(|known| known.key == key) {
            return None;
        }
        self.fields.push(Named { key, field: read(field)? });
        Some(())
    }

    /// The fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = &F> {
        self.fields.iter().map(|named| &named.field)
    }

    /// How long the keys are together, with what stands around them, in bytes.
    pub(super) fn length_of_keys(&self) -> usize {
        self.fields.iter().map(|named| named.key.len() + 1).sum::<usize>() + 2
    }

    /// Appends an object with these fields.
    ///
    /// # Errors
    ///
    /// The first of `write`, which appends the value of one field.
    pub(super) fn write<E>(
        &self,
        out: &mut Vec<u8>,
        mut write: impl FnMut(&mut Vec<u8>, &F) -> Result<(), E>,
    ) -> Result<(), E> {
        out.push(b'{');
        for (position, Named { key, field }) in self.fields.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            out.extend_from_slice(key);
            write(out, field)?;
        }
        out.push(b'}');
        Ok(())
    }
}
