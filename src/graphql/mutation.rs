use async_graphql::{Context, ID, Object};

use super::{
    attribute::reads,
    erasure::{ErasureObject, ForgetWait},
    errors::bad_input,
    nullable::{Nullable, nullable},
    scalars::subject_id,
    session::Session,
    user::{CreateUserInput, UpdateUserInput, UserObject},
};
use crate::{
    access::{Need, Scope},
    attributes::AttributeName,
    audit::Action,
    sinks::Receipts,
    users::{User, UserError, Users},
};

/// The root of all mutations.
#[derive(Debug)]
pub(super) struct Mutation;

/// Who may change some attribute at least.
const ANY_CHANGE: Need = Need::OneOfForAny(&[Scope::UsersWrite]);

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
            let users = context.data_unchecked::<Users>();
            let new = input.check(users)?;
            let user = users.create(new, session.origin()).await?;
            Ok(Some(UserObject(and_values(user, context).await)))
        })
        .await
    }

    /// Changes a user. What is absent stays; null removes. Needs `users:write`, or `users:write:` and the name of each attribute that is
    /// given; for a username, `users:write` for all users.
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
            session.allow_action(Action::Update, ANY_CHANGE, Some(subject))?;
            if input.renames() {
                session.allow_rename(subject)?;
            }
            let users = context.data_unchecked::<Users>();
            let changes = input.check(users)?;
            session.allow_change(subject, &changes.personal.names())?;
            session.allow_unique(subject, &users.unique_among(&changes.personal).await?)?;
            if changes.is_empty() {
                session.allow_action(Action::Update, &[Scope::UsersWrite], Some(subject))?;
            }
            let updated = users.update(subject, changes, session.origin()).await;
            if let Err(UserError::Taken { attribute }) = &updated {
                // Since a moment ago, one user alone can have it.
                session.allow_unique(subject, &[AttributeName::of_field(attribute)])?;
            }
            let user = updated?;
            Ok(Some(UserObject(and_values(user, context).await)))
        })
        .await
    }

    /// Forgets a user: destroys their data key and their data. Nothing brings them back. Forgetting twice
    /// answers the first erasure. Needs `users:forget`.
    ///
    /// With `wait: RECEIPT`, it is answered when the erasure is stored outside the database, too: no failover and no restored backup loses it
    /// then. If that takes too long, the answer is an error, though the user is forgotten: ask again.
    #[graphql(complexity = "50 + child_complexity")]
    async fn forget_user(
        &self,
        context: &Context<'_>,
        id: ID,
        wait: Option<ForgetWait>,
    ) -> Nullable<ErasureObject> {
        nullable(async {
            let subject = subject_id("id", &id)?;
            let session = Session::of(context)?;
            session.allow_action(Action::Forget, &[Scope::UsersForget], Some(subject))?;
            let users = context.data_unchecked::<Users>();
            let receipts = context.data_unchecked::<Receipts>();
            if wait.is_some() && !receipts.are_published() {
                let problem = "is RECEIPT, and the ledger is kept in the database only: ask without it; nobody was forgotten";
                return Err(bad_input("wait", problem));
            }
            let erasure = users.forget(subject, session.origin()).await?;
            Ok(Some(match wait {
                None => erasure.into(),
                Some(ForgetWait::Receipt) => ErasureObject::published(erasure, receipts).await?,
            }))
        })
        .await
    }
}

/// A user who was written, with the values that are selected. That it was written is answered whether they can be read or not: who selects
/// them asks for them again.
async fn and_values(user: User, context: &Context<'_>) -> User {
    match user.clone().reading(&reads(context)).await {
        Ok(read) => read,
        Err(_) => user,
    }
}
