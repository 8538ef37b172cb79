use async_graphql::{
    Value, Variables,
    parser::types::{Field, SelectionSet},
};

use super::{
    json::{write_list, write_null, write_text},
    selection::{Around, Selected},
    user::write_time,
};
use crate::{
    envelope::Opener,
    graphql::attribute::{MAX_NAMES, Shown, kind_name, shown_by},
    users::{NotAtOnce, User, UserAttribute},
};

/// A field `attribute` or `attributes` of a user, with what is selected of each.
#[derive(Debug)]
pub(super) struct AttributesSelection {
    attributes: Vec<UserAttribute>,
    /// Whether it answers a list.
    list: bool,
    fields: Selected<AttributeField>,
}

/// A field of the type `PersonalAttribute`.
#[derive(Clone, Copy, Debug)]
enum AttributeField {
    Typename,
    Name,
    Kind,
    UpdatedAt,
    Value(Shown),
}

/// The type's name in the schema.
const ATTRIBUTE: &str = "PersonalAttribute";
/// How long a value is, most often, with quotes, in bytes.
const USUAL_LENGTH: usize = 48;

impl AttributesSelection {
    /// `None` if it is another field, or there is anything unusual about it.
    pub(super) fn of(field: &Field, around: &Around<'_>) -> Option<Self> {
        let (attributes, list) = match field.name.node.as_str() {
            "attribute" => (vec![one(field, around)?], false),
            "attributes" => (several(field, around)?, true),
            _ => return None,
        };
        let set: &SelectionSet = &field.selection_set.node;
        let fields = Selected::of(set, ATTRIBUTE, around, |field| AttributeField::named(&field.name.node))?;
        Some(Self { attributes, list, fields })
    }

    /// Which attributes.
    pub(super) fn attributes(&self) -> impl Iterator<Item = &UserAttribute> {
        self.attributes.iter()
    }

    /// How each of them is shown; if it is not, that it is there.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&UserAttribute, Shown)> {
        let shown = self.fields.fields().filter_map(|field| match field {
            AttributeField::Value(shown) => Some(*shown),
            _ => None,
        });
        let there = (!self.opens()).then_some(Shown::There);
        shown.chain(there).flat_map(|shown| self.attributes.iter().map(move |attribute| (attribute, shown)))
    }

    /// Whether any value is opened.
    pub(super) fn opens(&self) -> bool {
        self.fields.fields().any(|field| matches!(field, AttributeField::Value(_)))
    }

    /// About how long it is when written, in bytes.
    pub(super) fn length(&self) -> usize {
        let each = self.fields.length_of_keys() + self.fields.fields().count() * USUAL_LENGTH;
        self.attributes.len() * each
    }

    /// Appends it.
    pub(super) fn write(&self, out: &mut Vec<u8>, user: &User, opener: &mut Opener) -> Result<(), NotAtOnce> {
        let mut there = self.attributes.iter().filter(|attribute| user.changed_at(attribute).is_some());
        if self.list {
            return write_list(out, there, |out, attribute| self.write_one(out, user, attribute, opener));
        }
        if let Some(attribute) = there.next() {
            return self.write_one(out, user, attribute, opener);
        }
        write_null(out);
        Ok(())
    }

    fn write_one(
        &self,
        out: &mut Vec<u8>,
        user: &User,
        attribute: &UserAttribute,
        opener: &mut Opener,
    ) -> Result<(), NotAtOnce> {
        self.fields.write(out, |out, field| {
            match *field {
                AttributeField::Typename => write_text(out, ATTRIBUTE),
                AttributeField::Name => write_text(out, attribute.name()),
                AttributeField::Kind => write_text(out, kind_name(attribute.kind())),
                AttributeField::UpdatedAt => write_time(out, user.changed_at(attribute).ok_or(NotAtOnce)?),
                AttributeField::Value(shown) => write_value(out, user, attribute, shown, opener)?,
            }
            Ok(())
        })
    }
}

impl AttributeField {
    fn named(name: &str) -> Option<Self> {
        match name {
            "__typename" => Some(Self::Typename),
            "name" => Some(Self::Name),
            "kind" => Some(Self::Kind),
            "updatedAt" => Some(Self::UpdatedAt),
            _ => shown_by(name).map(Self::Value),
        }
    }
}

/// Appends a personal value, or null.
pub(super) fn write_value(
    out: &mut Vec<u8>,
    user: &User,
    attribute: &UserAttribute,
    shown: Shown,
    opener: &mut Opener,
) -> Result<(), NotAtOnce> {
    match (user.open_at_once(attribute, opener)?, shown) {
        (Some(value), Shown::Clear) => write_text(out, value),
        (Some(value), Shown::Masked | Shown::There) => write_text(out, &attribute.masked(value)),
        (None, _) => write_null(out),
    }
    Ok(())
}

fn one(field: &Field, around: &Around<'_>) -> Option<UserAttribute> {
    match argument(field, "name", around.variables)? {
        Value::String(name) => around.users.attribute(&name),
        _ => None,
    }
}

fn several(field: &Field, around: &Around<'_>) -> Option<Vec<UserAttribute>> {
    let names = match argument(field, "names", around.variables)? {
        Value::List(names) if names.len() <= MAX_NAMES => names,
        // Without names, the caller decides which.
        _ => return None,
    };
    let mut attributes = Vec::with_capacity(names.len());
    for name in names {
        let Value::String(name) = name else { return None };
        let attribute = around.users.attribute(&name)?;
        if !attributes.contains(&attribute) {
            attributes.push(attribute);
        }
    }
    Some(attributes)
}

/// The value of a field's argument; null if it is not given. `None` if a variable in it has no value.
fn argument(field: &Field, name: &str, variables: &Variables) -> Option<Value> {
    let Some(value) = field.get_argument(name) else { return Some(Value::Null) };
    value.node.clone().into_const_with(|variable| variables.get(&variable).cloned().ok_or(())).ok()
}
