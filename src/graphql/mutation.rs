use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result};

use super::{RequestId, erasure::ErasureObject, scalars::subject_id, user::UserObject};
use crate::{
    audit::Origin,
    users::{Change, NewUser, UserChanges, Users},
};

/// Who a change through the API is recorded as.
const ACTOR: &str = "api";

/// The root of all mutations.
#[derive(Debug)]
pub struct Mutation;

/// What can be changed.
#[Object]
impl Mutation {
    /// Creates a user with a data key of their own.
    #[graphql(complexity = "50 + child_complexity")]
    async fn create_user(
        &self,
        context: &Context<'_>,
        #[graphql(secret)] input: CreateUserInput,
    ) -> Result<UserObject> {
        let CreateUserInput { username, email, phone } = input;
        let new = NewUser::parse(&username, email.as_deref(), phone.as_deref())?;
        Ok(UserObject(context.data_unchecked::<Users>().create(new, &origin(context)).await?))
    }

    /// Changes a user. What is absent stays; null removes.
    #[graphql(complexity = "50 + child_complexity")]
    async fn update_user(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(secret)] input: UpdateUserInput,
    ) -> Result<UserObject> {
        let subject = subject_id("id", &id)?;
        let UpdateUserInput { username, email, phone } = input;
        let changes = UserChanges::parse(change(&username), change(&email), change(&phone))?;
        Ok(UserObject(context.data_unchecked::<Users>().update(subject, changes, &origin(context)).await?))
    }

    /// Forgets a user: destroys their data key and their data. Nothing brings them back. Forgetting twice
    /// answers the first erasure.
    #[graphql(complexity = "50 + child_complexity")]
    async fn forget_user(&self, context: &Context<'_>, id: ID) -> Result<ErasureObject> {
        let subject = subject_id("id", &id)?;
        Ok(ErasureObject(context.data_unchecked::<Users>().forget(subject, &origin(context)).await?))
    }
}

/// Who asks for a change, and within which request.
fn origin(context: &Context<'_>) -> Origin {
    let origin = Origin::new(ACTOR);
    match context.data_opt::<RequestId>() {
        Some(RequestId(id)) => origin.in_request(id),
        None => origin,
    }
}

/// A user to be created.
#[derive(InputObject)]
struct CreateUserInput {
    /// 1 to 64 letters, digits, dots, dashes or underscores. Stored in the clear.
    username: String,
    /// The e-mail address, at most 254 characters.
    email: Option<String>,
    /// The phone number with its country code: `+44 20 7946 0958`.
    phone: Option<String>,
}

/// Changes to a user. What is absent stays; null removes.
#[derive(InputObject)]
struct UpdateUserInput {
    /// A new username. Cannot be removed.
    username: MaybeUndefined<String>,
    /// A new e-mail address, or null.
    email: MaybeUndefined<String>,
    /// A new phone number, or null.
    phone: MaybeUndefined<String>,
}

fn change(input: &MaybeUndefined<String>) -> Change<&str> {
    match input {
        MaybeUndefined::Undefined => Change::Keep,
        MaybeUndefined::Null => Change::Remove,
        MaybeUndefined::Value(value) => Change::Replace(value),
    }
}
