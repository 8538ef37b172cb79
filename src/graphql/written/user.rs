use async_graphql::parser::types::{Field, SelectionSet};
use chrono::{DateTime, Utc};

use super::{
    attribute::{AttributesSelection, write_value},
    json::write_text,
    selection::{Around, Selected},
};
use crate::{
    access::Need,
    attributes::AttributeName,
    entity::user::{Column, PersonalAttribute},
    envelope::Opener,
    graphql::{attribute::Shown, user::PLAIN},
    users::{NotAtOnce, Reads, User, UserAttribute},
};

/// The fields of users that a document selects.
#[derive(Debug)]
pub(super) struct UserSelection(Selected<UserField>);

/// A field of the type `User`.
#[derive(Debug)]
enum UserField {
    Typename,
    Id,
    Username,
    CreatedAt,
    UpdatedAt,
    Personal(UserAttribute, Shown),
    Attributes(AttributesSelection),
}

/// The type's name in the schema.
const USER: &str = "User";
/// How long a value is, most often, with quotes, in bytes.
const USUAL_LENGTH: usize = 48;

impl UserSelection {
    /// `None` if there is anything unusual about it.
    pub(super) fn of(set: &SelectionSet, around: &Around<'_>) -> Option<Self> {
        Selected::of(set, USER, around, |field| UserField::of(field, around)).map(Self)
    }

    /// Adds what has to be read.
    pub(super) fn add_reads(&self, reads: &mut Reads) {
        for field in self.0.fields() {
            let column = match field {
                UserField::Typename => continue,
                UserField::Id => Column::Id,
                UserField::Username => Column::Username,
                UserField::CreatedAt => Column::CreatedAt,
                UserField::UpdatedAt => Column::UpdatedAt,
                UserField::Personal(attribute, _) => {
                    reads.add(attribute);
                    continue;
                }
                UserField::Attributes(selection) => {
                    selection.attributes().for_each(|attribute| reads.add(attribute));
                    // When a column's value was changed.
                    Column::UpdatedAt
                }
            };
            reads.columns = reads.columns.with(column);
        }
    }

    /// What is opened, and how it is shown.
    fn shown(&self) -> impl Iterator<Item = (&UserAttribute, Shown)> {
        self.0.fields().flat_map(|field| {
            let (one, several) = match field {
                UserField::Personal(attribute, shown) => (Some((attribute, *shown)), None),
                UserField::Attributes(selection) => (None, Some(selection)),
                _ => (None, None),
            };
            one.into_iter().chain(several.into_iter().flat_map(AttributesSelection::shown))
        })
    }

    /// What the audit trail calls the personal attributes that are opened.
    pub(super) fn names(&self) -> impl Iterator<Item = AttributeName> {
        self.shown().map(|(attribute, shown)| shown.recorded(attribute))
    }

    /// Whether any value is opened.
    pub(super) fn opens(&self) -> bool {
        self.0.fields().any(|field| match field {
            UserField::Personal(..) => true,
            UserField::Attributes(selection) => selection.opens(),
            _ => false,
        })
    }

    /// What is needed to know that attributes are there.
    fn there(&self) -> impl Iterator<Item = Need> {
        let attributes = self.0.fields().filter_map(|field| match field {
            UserField::Attributes(selection) => Some(selection.attributes()),
            _ => None,
        });
        attributes.flatten().map(|attribute| Shown::There.need(attribute))
    }

    /// The scopes that the fields need.
    pub(super) fn needs(&self) -> impl Iterator<Item = Need> {
        let of_fields = self.0.fields().filter_map(|field| match field {
            UserField::Typename | UserField::Id | UserField::Personal(..) | UserField::Attributes(_) => None,
            UserField::Username | UserField::CreatedAt | UserField::UpdatedAt => Some(PLAIN),
        });
        let shown = self.shown().map(|(attribute, shown)| shown.need(attribute));
        of_fields.chain(shown).chain(self.there())
    }

    /// About how long one user is when written, in bytes.
    pub(super) fn length(&self) -> usize {
        let fields = self.0.fields().map(|field| match field {
            UserField::Attributes(selection) => selection.length(),
            _ => USUAL_LENGTH,
        });
        self.0.length_of_keys() + fields.sum::<usize>()
    }

    /// Appends a user.
    pub(super) fn write(&self, out: &mut Vec<u8>, user: &User, opener: &mut Opener) -> Result<(), NotAtOnce> {
        self.0.write(out, |out, field| {
            match field {
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
                UserField::Personal(attribute, shown) => write_value(out, user, attribute, *shown, opener)?,
                UserField::Attributes(selection) => selection.write(out, user, opener)?,
            }
            Ok(())
        })
    }
}

impl UserField {
    fn of(field: &Field, around: &Around<'_>) -> Option<Self> {
        let column = |name: &str| {
            let known = PersonalAttribute::ALL.iter().find(|known| known.field() == name);
            known.map(|known| UserAttribute::Column(*known))
        };
        match field.name.node.as_str() {
            "__typename" => Some(Self::Typename),
            "id" => Some(Self::Id),
            "username" => Some(Self::Username),
            "createdAt" => Some(Self::CreatedAt),
            "updatedAt" => Some(Self::UpdatedAt),
            "attribute" | "attributes" => AttributesSelection::of(field, around).map(Self::Attributes),
            name => match name.strip_suffix("Masked") {
                Some(name) => column(name).map(|attribute| Self::Personal(attribute, Shown::Masked)),
                None => column(name).map(|attribute| Self::Personal(attribute, Shown::Clear)),
            },
        }
    }
}

/// As async-graphql writes the scalar.
pub(super) fn write_time(out: &mut Vec<u8>, time: DateTime<Utc>) {
    write_text(out, &time.to_rfc3339());
}
