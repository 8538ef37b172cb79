use async_graphql::parser::types::SelectionSet;
use chrono::{DateTime, Utc};

use super::{
    json::{write_null, write_text},
    selection::{Fragments, Selected},
};
use crate::{
    access::Scope,
    attributes::AttributeName,
    entity::user::{Column, PersonalAttribute},
    envelope::Opener,
    graphql::user::{CLEAR, MASKED, PLAIN},
    users::{NotAtOnce, User},
};

/// The fields of users that a document selects.
#[derive(Debug)]
pub(super) struct UserSelection(Selected<UserField>);

/// A field of the type `User`.
#[derive(Clone, Copy, Debug)]
enum UserField {
    Typename,
    Id,
    Username,
    CreatedAt,
    UpdatedAt,
    Clear(PersonalAttribute),
    Masked(PersonalAttribute),
}

/// The type's name in the schema.
const USER: &str = "User";
/// How long a value is, most often, with quotes, in bytes.
const USUAL_LENGTH: usize = 48;

impl UserSelection {
    /// `None` if there is anything unusual about it.
    pub(super) fn of(set: &SelectionSet, fragments: &Fragments) -> Option<Self> {
        Selected::of(set, USER, fragments, |field| UserField::named(&field.name.node)).map(Self)
    }

    /// The columns that hold the values.
    pub(super) fn columns(&self) -> impl Iterator<Item = Column> {
        self.0.fields().filter_map(|field| match field {
            UserField::Typename => None,
            UserField::Id => Some(Column::Id),
            UserField::Username => Some(Column::Username),
            UserField::CreatedAt => Some(Column::CreatedAt),
            UserField::UpdatedAt => Some(Column::UpdatedAt),
            UserField::Clear(attribute) | UserField::Masked(attribute) => Some(attribute.column()),
        })
    }

    /// What the audit trail calls the personal attributes that are opened.
    pub(super) fn names(&self) -> impl Iterator<Item = AttributeName> {
        self.0.fields().filter_map(|field| match field {
            UserField::Clear(attribute) => Some(attribute.name()),
            UserField::Masked(attribute) => Some(attribute.name().masked()),
            _ => None,
        })
    }

    /// For each field, the scopes of which one is needed.
    pub(super) fn scopes(&self) -> impl Iterator<Item = &'static [Scope]> {
        self.0.fields().filter_map(|field| match field {
            UserField::Typename | UserField::Id => None,
            UserField::Username | UserField::CreatedAt | UserField::UpdatedAt => Some(PLAIN),
            UserField::Clear(_) => Some(CLEAR),
            UserField::Masked(_) => Some(MASKED),
        })
    }

    /// About how long one user is when written, in bytes.
    pub(super) fn length(&self) -> usize {
        self.0.length_of_keys() + self.0.fields().count() * USUAL_LENGTH
    }

    /// Appends a user.
    pub(super) fn write(&self, out: &mut Vec<u8>, user: &User, opener: &mut Opener) -> Result<(), NotAtOnce> {
        self.0.write(out, |out, field| {
            match *field {
                UserField::Typename => write_text(out, USER),
                UserField::Id => {
                    write_text(
                        out,
                        user.id().as_uuid().hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()),
                    );
                }
                UserField::Username => write_text(out, user.username()),
                UserField::CreatedAt => write_time(out, user.created_at()),
                UserField::UpdatedAt => write_time(out, user.updated_at()),
                UserField::Clear(attribute) => match user.open_at_once(attribute, opener)? {
                    Some(value) => write_text(out, value),
                    None => write_null(out),
                },
                UserField::Masked(attribute) => match user.open_at_once(attribute, opener)? {
                    Some(value) => write_text(out, &attribute.mask(value)),
                    None => write_null(out),
                },
            }
            Ok(())
        })
    }
}

impl UserField {
    fn named(name: &str) -> Option<Self> {
        let personal =
            |name: &str| PersonalAttribute::ALL.iter().copied().find(|known| known.field() == name);
        match name {
            "__typename" => Some(Self::Typename),
            "id" => Some(Self::Id),
            "username" => Some(Self::Username),
            "createdAt" => Some(Self::CreatedAt),
            "updatedAt" => Some(Self::UpdatedAt),
            _ => match name.strip_suffix("Masked") {
                Some(name) => personal(name).map(Self::Masked),
                None => personal(name).map(Self::Clear),
            },
        }
    }
}

/// As async-graphql writes the scalar.
fn write_time(out: &mut Vec<u8>, time: DateTime<Utc>) {
    write_text(out, &time.to_rfc3339());
}
