use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result};
use chrono::{DateTime, Utc};

use super::{
    attribute::{AttributeInput, AttributeObject, Shown, add_all, all_named, attributes_of, look, named},
    nullable::{Nullable, nullable},
    scalars,
    session::Session,
};
use crate::{
    access::{Need, Scope},
    attributes::{Change, MAX_DECLARED},
    entity::user::{PersonalAttribute, PersonalChanges},
    envelope::{Attribute, Personal},
    users::{AttributeChanges, NewUser, User, UserChanges, UserError, Username, Users},
};

/// A person.
pub(super) struct UserObject(pub(super) User);

/// A person. `email` and `phone` are encrypted under a key of this person's own, and are decrypted only
/// if a query selects them.
#[Object(name = "User")]
impl UserObject {
    /// The id: a UUID, version 7. Needs no more than whatever led here.
    async fn id(&self) -> ID {
        scalars::id(self.0.id())
    }

    /// The username. Unique, and not encrypted. Needs `users:read` or `users:write`.
    async fn username(&self, context: &Context<'_>) -> Result<&str> {
        Session::of(context)?.allow(PLAIN, Some(self.0.id()))?;
        Ok(self.0.username())
    }

    /// The e-mail address. Needs `pii:read`, or `pii:read:email`.
    async fn email(&self, context: &Context<'_>) -> Nullable<String> {
        self.look(context, PersonalAttribute::Email, Shown::Clear).await
    }

    /// The phone number, in E.164 form: `+442079460958`. Needs `pii:read`, or `pii:read:phone`.
    async fn phone(&self, context: &Context<'_>) -> Nullable<String> {
        self.look(context, PersonalAttribute::Phone, Shown::Clear).await
    }

    /// The e-mail address, masked: `j•••@e•••.com`. Needs `users:read`.
    async fn email_masked(&self, context: &Context<'_>) -> Nullable<String> {
        self.look(context, PersonalAttribute::Email, Shown::Masked).await
    }

    /// The phone number, masked: `+44•••••58`. Needs `users:read`.
    async fn phone_masked(&self, context: &Context<'_>) -> Nullable<String> {
        self.look(context, PersonalAttribute::Phone, Shown::Masked).await
    }

    /// When the user was created. Needs `users:read` or `users:write`.
    async fn created_at(&self, context: &Context<'_>) -> Result<DateTime<Utc>> {
        Session::of(context)?.allow(PLAIN, Some(self.0.id()))?;
        Ok(self.0.created_at())
    }

    /// When the user was last changed. A rotation of keys does not count. Needs `users:read` or `users:write`.
    async fn updated_at(&self, context: &Context<'_>) -> Result<DateTime<Utc>> {
        Session::of(context)?.allow(PLAIN, Some(self.0.id()))?;
        Ok(self.0.updated_at())
    }

    /// What fixes this person's data key without telling it: SHA-256, in hexadecimal. Keep it: once the person is forgotten, the receipt names the key that was
    /// destroyed by the same. Another one after a rotation of the key, the same after one of wrapping keys. Needs `pii:read`.
    #[graphql(complexity = 20)]
    async fn key_commitment(&self, context: &Context<'_>) -> Nullable<String> {
        nullable(async {
            Session::of(context)?.allow(&[Scope::PiiRead], Some(self.0.id()))?;
            let users = context.data_unchecked::<Users>();
            Ok(Some(users.key_commitment(self.0.id()).await?.to_string()))
        })
        .await
    }

    /// A personal attribute; null if the user has no value of it. Needs `users:read`; or `users:write` or `pii:read`, if only for this
    /// attribute.
    async fn attribute(&self, context: &Context<'_>, name: String) -> Nullable<AttributeObject> {
        nullable(async {
            let attribute = named(context.data_unchecked(), "name", None, &name)?;
            Ok(attributes_of(context, &self.0, vec![attribute]).await?.pop())
        })
        .await
    }

    /// Personal attributes, `email` and `phone` among them; those of which the user has no value are left out. Without `names`, all
    /// that the caller may know of; at most 100 names. Needs `users:read`; or `users:write` or `pii:read`, if only for each of these.
    #[graphql(complexity = "list_complexity(names.as_deref(), child_complexity)")]
    async fn attributes(
        &self,
        context: &Context<'_>,
        names: Option<Vec<String>>,
    ) -> Result<Vec<AttributeObject>> {
        let attributes = all_named(context, names.as_deref())?;
        attributes_of(context, &self.0, attributes).await
    }
}

impl UserObject {
    async fn look(
        &self,
        context: &Context<'_>,
        attribute: PersonalAttribute,
        shown: Shown,
    ) -> Nullable<String> {
        look(context, &self.0, &attribute.into(), shown).await
    }
}

/// What the caller who wrote a user may see of them, so that no change is made whose answer is refused.
pub(super) const PLAIN: Need = Need::OneOf(&[Scope::UsersRead, Scope::UsersWrite]);

/// A list costs its fields once per attribute that it may hold.
fn list_complexity(names: Option<&[String]>, child_complexity: usize) -> usize {
    let all = PersonalAttribute::ALL.len() + MAX_DECLARED;
    1 + names.map_or(all, <[String]>::len) * child_complexity
}

/// A user to be created.
#[derive(InputObject)]
pub(super) struct CreateUserInput {
    /// 1 to 64 letters, digits, dots, dashes or underscores. Stored in the clear.
    username: String,
    /// The e-mail address, at most 254 characters.
    email: Option<String>,
    /// The phone number with its country code: `+44 20 7946 0958`.
    phone: Option<String>,
    /// Attributes by their names, at most 100.
    attributes: Option<Vec<AttributeInput>>,
}

impl CreateUserInput {
    pub(super) fn check(self, users: &Users) -> Result<NewUser, UserError> {
        let username = Username::parse(&self.username)?;
        let columns = PersonalChanges {
            // Each attribute.
            email: given(self.email.as_deref())?,
            phone: given(self.phone.as_deref())?,
        };
        let personal = and_by_name(columns, users, self.attributes.as_deref())?;
        Ok(NewUser { username, personal })
    }
}

/// Changes to a user. What is absent stays; null removes.
#[derive(InputObject)]
pub(super) struct UpdateUserInput {
    /// A new username. Cannot be removed.
    username: MaybeUndefined<String>,
    /// A new e-mail address, or null.
    email: MaybeUndefined<String>,
    /// A new phone number, or null.
    phone: MaybeUndefined<String>,
    /// Attributes by their names, at most 100.
    attributes: Option<Vec<AttributeInput>>,
}

impl UpdateUserInput {
    pub(super) fn renames(&self) -> bool {
        !self.username.is_undefined()
    }

    pub(super) fn check(self, users: &Users) -> Result<UserChanges, UserError> {
        let username = Username::parse_change(change(&self.username))?;
        let columns = PersonalChanges {
            // Each attribute.
            email: changed(&self.email)?,
            phone: changed(&self.phone)?,
        };
        let personal = and_by_name(columns, users, self.attributes.as_deref())?;
        Ok(UserChanges { username, personal })
    }
}

fn and_by_name(
    columns: PersonalChanges,
    users: &Users,
    given: Option<&[AttributeInput]>,
) -> Result<AttributeChanges, UserError> {
    let mut changes = AttributeChanges::from(columns);
    add_all(&mut changes, users, given.unwrap_or_default())?;
    Ok(changes)
}

fn given<A: Attribute>(input: Option<&str>) -> Result<Change<Personal<A>>, UserError> {
    Change::parse(input.into()).map_err(|error| UserError::refused::<A>(&error))
}

fn changed<A: Attribute>(input: &MaybeUndefined<String>) -> Result<Change<Personal<A>>, UserError> {
    Change::parse(change(input)).map_err(|error| UserError::refused::<A>(&error))
}

fn change(input: &MaybeUndefined<String>) -> Change<&str> {
    match input {
        MaybeUndefined::Undefined => Change::Keep,
        MaybeUndefined::Null => Change::Remove,
        MaybeUndefined::Value(value) => Change::Replace(value),
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::graphql::sdl;

    /// The compiler asks for an attribute in the inputs' checks, and for no resolver.
    #[test]
    fn each_attribute_is_in_the_schema_in_the_clear_and_masked_and_can_be_given_and_changed() {
        let sdl = sdl();
        let block = |name: &str| {
            let (_, rest) = sdl.split_once(&format!("{name} {{\n")).unwrap_or_else(|| panic!("no {name}"));
            format!("{}\n", rest.split_once("\n}").unwrap().0)
        };
        assert!(!PersonalAttribute::ALL.is_empty());
        for field in PersonalAttribute::ALL.iter().map(|attribute| attribute.field()) {
            for (place, name) in [
                ("type User", field.to_owned()),
                ("type User", format!("{field}Masked")),
                ("input CreateUserInput", field.to_owned()),
                ("input UpdateUserInput", field.to_owned()),
            ] {
                assert!(block(place).contains(&format!("\t{name}: String\n")), "{place} lacks {name}");
            }
        }
    }
}
