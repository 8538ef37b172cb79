use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object};

use super::{
    erasure::ErasureObject,
    nullable::{Nullable, nullable},
    scalars::subject_id,
    session::Session,
    user::UserObject,
};
use crate::{
    access::Scope,
    audit::Action,
    users::{Change, NewUser, UserChanges, Users},
};

/// The root of all mutations.
#[derive(Debug)]
pub(super) struct Mutation;

/// What can be changed. A change that fails is null, and its error says why; the others of the same request stand, with
/// their answers.
#[Object]
impl Mutation {
    /// Creates a user with a data key of their own. Needs `users:write`, for all users.
    #[graphql(complexity = "50 + child_complexity")]
    async fn create_user(
        &self,
        context: &Context<'_>,
        #[graphql(secret)] input: CreateUserInput,
    ) -> Nullable<UserObject> {
        nullable(async {
            let session = Session::of(context)?;
            session.allow_action(Action::Create, &[Scope::UsersWrite], None)?;
            let CreateUserInput { username, email, phone } = input;
            let new = NewUser::parse(&username, email.as_deref(), phone.as_deref())?;
            let users = context.data_unchecked::<Users>();
            Ok(Some(UserObject(users.create(new, session.origin()).await?)))
        })
        .await
    }

    /// Changes a user. What is absent stays; null removes. Needs `users:write`; for a username, for all users.
    #[graphql(complexity = "50 + child_complexity")]
    async fn update_user(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(secret)] input: UpdateUserInput,
    ) -> Nullable<UserObject> {
        nullable(async {
            let subject = subject_id("id", &id)?;
            let session = Session::of(context)?;
            session.allow_action(Action::Update, &[Scope::UsersWrite], Some(subject))?;
            let UpdateUserInput { username, email, phone } = input;
            if !username.is_undefined() {
                session.allow_rename(subject)?;
            }
            let changes = UserChanges::parse(change(&username), change(&email), change(&phone))?;
            let users = context.data_unchecked::<Users>();
            Ok(Some(UserObject(users.update(subject, changes, session.origin()).await?)))
        })
        .await
    }

    /// Forgets a user: destroys their data key and their data. Nothing brings them back. Forgetting twice
    /// answers the first erasure. Needs `users:forget`.
    #[graphql(complexity = "50 + child_complexity")]
    async fn forget_user(&self, context: &Context<'_>, id: ID) -> Nullable<ErasureObject> {
        nullable(async {
            let subject = subject_id("id", &id)?;
            let session = Session::of(context)?;
            session.allow_action(Action::Forget, &[Scope::UsersForget], Some(subject))?;
            let users = context.data_unchecked::<Users>();
            Ok(Some(ErasureObject(users.forget(subject, session.origin()).await?)))
        })
        .await
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
