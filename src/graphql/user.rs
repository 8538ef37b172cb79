use async_graphql::{Context, ID, Object, Result};
use chrono::{DateTime, Utc};

use super::{
    nullable::{Nullable, nullable},
    scalars,
    session::Session,
};
use crate::{
    access::{Budget, Scope},
    envelope::Attribute,
    users::{User, UserError},
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
        self.look(context, CLEAR, "email", self.0.email(), expose).await
    }

    /// The phone number, in E.164 form: `+442079460958`. Needs `pii:read`.
    async fn phone(&self, context: &Context<'_>) -> Nullable<String> {
        self.look(context, CLEAR, "phone", self.0.phone(), expose).await
    }

    /// The e-mail address, masked: `j•••@e•••.com`. Needs `users:read`.
    async fn email_masked(&self, context: &Context<'_>) -> Nullable<String> {
        self.look(context, MASKED, "email_masked", self.0.email(), |email| email.masked()).await
    }

    /// The phone number, masked: `+44•••••58`. Needs `users:read`.
    async fn phone_masked(&self, context: &Context<'_>) -> Nullable<String> {
        self.look(context, MASKED, "phone_masked", self.0.phone(), |phone| phone.masked()).await
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
    async fn look<A>(
        &self,
        context: &Context<'_>,
        scopes: &'static [Scope],
        attribute: &'static str,
        open: impl Future<Output = Result<Option<A>, UserError>>,
        show: impl FnOnce(A) -> String,
    ) -> Nullable<String> {
        nullable(async {
            let (session, subject) = (Session::of(context)?, self.0.id());
            session.allow_look(context.data_unchecked::<Budget>(), scopes, subject, attribute)?;
            let opened = open.await;
            session.note_look(subject, attribute, opened.is_ok());
            Ok(opened?.map(show))
        })
        .await
    }
}

/// What whoever wrote a user may see of them, so that no change is made whose answer is refused.
const PLAIN: &[Scope] = &[Scope::UsersRead, Scope::UsersWrite];
const CLEAR: &[Scope] = &[Scope::PiiRead];
const MASKED: &[Scope] = &[Scope::UsersRead];

fn expose<A: Attribute>(attribute: A) -> String {
    attribute.into_text().into_exposed()
}
