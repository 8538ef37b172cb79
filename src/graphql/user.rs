use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result};
use chrono::{DateTime, Utc};

use super::{
    nullable::{Nullable, nullable},
    scalars,
    session::Session,
};
use crate::{
    access::{Budget, Scope},
    attributes::{AttributeName, Change, Email, Holds, Phone},
    entity::user::{Model, PersonalChanges},
    envelope::{Attribute, Personal},
    users::{NewUser, User, UserChanges, UserError, Username},
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

    /// The e-mail address. Needs `pii:read`.
    async fn email(&self, context: &Context<'_>) -> Nullable<String> {
        self.look::<Email>(context).await
    }

    /// The phone number, in E.164 form: `+442079460958`. Needs `pii:read`.
    async fn phone(&self, context: &Context<'_>) -> Nullable<String> {
        self.look::<Phone>(context).await
    }

    /// The e-mail address, masked: `j•••@e•••.com`. Needs `users:read`.
    async fn email_masked(&self, context: &Context<'_>) -> Nullable<String> {
        self.look_masked::<Email>(context).await
    }

    /// The phone number, masked: `+44•••••58`. Needs `users:read`.
    async fn phone_masked(&self, context: &Context<'_>) -> Nullable<String> {
        self.look_masked::<Phone>(context).await
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
}

impl UserObject {
    /// Opens a personal value, if the caller may see it, and notes that they did.
    async fn look<A: Attribute>(&self, context: &Context<'_>) -> Nullable<String>
    where
        Model: Holds<A>,
    {
        self.open(context, CLEAR, AttributeName::of::<A>(), Personal::<A>::into_exposed).await
    }

    /// The same of a value that is masked.
    async fn look_masked<A: Attribute>(&self, context: &Context<'_>) -> Nullable<String>
    where
        Model: Holds<A>,
    {
        let name = AttributeName::of::<A>().masked();
        self.open(context, MASKED, name, |value: Personal<A>| value.masked()).await
    }

    async fn open<A: Attribute>(
        &self,
        context: &Context<'_>,
        scopes: &'static [Scope],
        name: AttributeName,
        show: impl FnOnce(Personal<A>) -> String,
    ) -> Nullable<String>
    where
        Model: Holds<A>,
    {
        nullable(async {
            let (session, subject) = (Session::of(context)?, self.0.id());
            session.allow_look(context.data_unchecked::<Budget>(), scopes, subject, &name)?;
            let opened = self.0.open::<A>().await;
            session.note_look(subject, &name, opened.is_ok());
            Ok(opened?.map(show))
        })
        .await
    }
}

/// What the caller who wrote a user may see of them, so that no change is made whose answer is refused.
pub(super) const PLAIN: &[Scope] = &[Scope::UsersRead, Scope::UsersWrite];
/// What the personal values need.
pub(super) const CLEAR: &[Scope] = &[Scope::PiiRead];
/// What the masked ones need.
pub(super) const MASKED: &[Scope] = &[Scope::UsersRead];

/// A user to be created.
#[derive(InputObject)]
pub(super) struct CreateUserInput {
    /// 1 to 64 letters, digits, dots, dashes or underscores. Stored in the clear.
    username: String,
    /// The e-mail address, at most 254 characters.
    email: Option<String>,
    /// The phone number with its country code: `+44 20 7946 0958`.
    phone: Option<String>,
}

impl CreateUserInput {
    pub(super) fn check(self) -> Result<NewUser, UserError> {
        let username = Username::parse(&self.username)?;
        let personal = PersonalChanges {
            // Each attribute.
            email: given(self.email.as_deref())?,
            phone: given(self.phone.as_deref())?,
        };
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
}

impl UpdateUserInput {
    pub(super) fn renames(&self) -> bool {
        !self.username.is_undefined()
    }

    pub(super) fn check(self) -> Result<UserChanges, UserError> {
        let username = Username::parse_change(change(&self.username))?;
        let personal = PersonalChanges {
            // Each attribute.
            email: changed(&self.email)?,
            phone: changed(&self.phone)?,
        };
        Ok(UserChanges { username, personal })
    }
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

    use crate::{entity::user::PersonalAttribute, graphql::sdl};

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
