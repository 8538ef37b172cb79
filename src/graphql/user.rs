use async_graphql::{ID, Object};
use chrono::{DateTime, Utc};

use super::{
    nullable::{Nullable, nullable},
    scalars,
};
use crate::{envelope::Attribute, users::User};

/// A person.
pub(super) struct UserObject(pub(super) User);

/// A person. `email` and `phone` are encrypted under a key of this person's own, and are decrypted only
/// if a query selects them.
#[Object(name = "User")]
impl UserObject {
    /// The id: a UUID, version 7.
    async fn id(&self) -> ID {
        scalars::id(self.0.id())
    }

    /// The username. Unique, and not encrypted.
    async fn username(&self) -> &str {
        self.0.username()
    }

    /// The e-mail address.
    async fn email(&self) -> Nullable<String> {
        nullable(async { Ok(self.0.email().await?.map(expose)) }).await
    }

    /// The phone number, in E.164 form: `+442079460958`.
    async fn phone(&self) -> Nullable<String> {
        nullable(async { Ok(self.0.phone().await?.map(expose)) }).await
    }

    /// When the user was created.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at()
    }

    /// When the user was last changed. A rotation of keys does not count.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at()
    }
}

fn expose<A: Attribute>(attribute: A) -> String {
    attribute.into_text().into_exposed()
}
