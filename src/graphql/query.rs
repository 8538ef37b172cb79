use async_graphql::{Context, ID, Object, Result};

use super::{
    attribute::{ANY_ATTRIBUTE, DefinitionObject, named, reads},
    audit_event::{AuditEventConnection, audit_events},
    connection::{UserConnection, connection, page_request},
    erasure::ErasureObject,
    find::LookUp,
    nullable::{Nullable, nullable},
    scalars::{self, subject_id},
    session::Session,
    user::UserObject,
    written::{self, Answered, Whom},
};
use crate::{
    access::{Need, Scope},
    audit::Filter,
    entity::user::PersonalAttribute,
    users::Users,
};

/// The root of all queries.
#[derive(Debug)]
pub(super) struct Query;

/// What can be read.
#[Object]
impl Query {
    /// The user with this id; null if there never was one. A forgotten one answers the error `FORGOTTEN`.
    /// Needs `users:read`; or `pii:read`, if only for some attribute: then the id and what it is for can be seen.
    #[graphql(complexity = "5 + child_complexity")]
    async fn user(&self, context: &Context<'_>, id: ID) -> Nullable<Answered<UserObject>> {
        nullable(async {
            let subject = subject_id("id", &id)?;
            let session = Session::of(context)?;
            session.allow(ONE_USER, Some(subject))?;
            let user = written::user(context, session, Whom::Id(subject)).await?;
            Ok(user.map(|user| user.map(UserObject)))
        })
        .await
    }

    /// The user with this username; null if nobody has it, or its owner was forgotten. Needs `users:read`.
    #[graphql(complexity = "5 + child_complexity")]
    async fn user_by_username(
        &self,
        context: &Context<'_>,
        username: String,
    ) -> Nullable<Answered<UserObject>> {
        nullable(async {
            let session = Session::of(context)?;
            session.allow_find(&[Scope::UsersRead])?;
            let Some(own) = session.caller().own else {
                let user = written::user(context, session, Whom::Username(&username)).await?;
                return Ok(user.map(|user| user.map(UserObject)));
            };
            // Whether somebody else has the name is nothing that one user may find out.
            let user = context.data_unchecked::<Users>().find_with(own, &reads(context)).await?;
            let user =
                user.filter(|user| user.username() == username).ok_or_else(|| session.refuse_find())?;
            Ok(Some(Answered::Resolved(UserObject(user))))
        })
        .await
    }

    /// All users, in the order of their creation, as far as the clocks of the servers agreed: whoever is created later may come
    /// before. To follow what is created and changed, read `auditEvents`. At most 100 at a time, 20 if neither `first` nor `last`
    /// is given. Needs `users:read`, for all users.
    #[graphql(complexity = "page_complexity(first, last, child_complexity)")]
    async fn users(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Answered<UserConnection>> {
        let session = Session::of(context)?;
        session.allow(&[Scope::UsersRead], None)?;
        let request = page_request(first, after.as_deref(), last, before.as_deref())?;
        Ok(written::page(context, session, request).await?.map(connection))
    }

    /// The user with this e-mail address, in whatever spelling: `Ada@Example.com` and `ada@example.com` are one. Null if nobody has it, or its owner was
    /// forgotten. If several users have it, the error `AMBIGUOUS`. Counts as a look at a user, also if nobody is found. Needs `users:find`, or
    /// `users:find:email`.
    #[graphql(complexity = "10 + child_complexity")]
    async fn user_by_email(
        &self,
        context: &Context<'_>,
        #[graphql(secret)] email: String,
    ) -> Nullable<Answered<UserObject>> {
        nullable(find_one(context, PersonalAttribute::Email, &email)).await
    }

    /// The user with this phone number, in whatever spelling that has the country code. Null if nobody has it, or its owner was forgotten. If several users
    /// have it, the error `AMBIGUOUS`. Counts as a look at a user, also if nobody is found. Needs `users:find`, or `users:find:phone`.
    #[graphql(complexity = "10 + child_complexity")]
    async fn user_by_phone(
        &self,
        context: &Context<'_>,
        #[graphql(secret)] phone: String,
    ) -> Nullable<Answered<UserObject>> {
        nullable(find_one(context, PersonalAttribute::Phone, &phone)).await
    }

    /// The users with this value of an attribute that is searched: `email`, `phone`, or one that is declared with `search = "exact"`. In the order of their ids,
    /// at most 100 at a time, 20 if `first` is not given. Counts as a look at each of them, and as one if there is nobody. Needs `users:find`, or
    /// `users:find:` and the attribute's name.
    #[graphql(complexity = "page_complexity(first, None, child_complexity)")]
    async fn users_by(
        &self,
        context: &Context<'_>,
        attribute: String,
        #[graphql(secret)] value: String,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<UserConnection> {
        let attribute = named(context.data_unchecked(), "attribute", None, &attribute)?;
        let look_up = LookUp::begin(context, attribute, &value)?;
        let request = page_request(first, after.as_deref(), None, None)?;
        Ok(connection(look_up.page(context, request.after, request.size).await?))
    }

    /// The attributes that users can have: `email`, `phone`, and those that are declared in the configuration. Needs `users:read`,
    /// `users:write` or `pii:read`, if only for some attribute.
    async fn attribute_definitions(&self, context: &Context<'_>) -> Result<Vec<DefinitionObject>> {
        Session::of(context)?.allow_find(ANY_ATTRIBUTE)?;
        Ok(context.data_unchecked::<Users>().attributes().map(DefinitionObject).collect())
    }

    /// The proof that a user was forgotten; null if they were not. Needs `users:read`, `users:forget` or
    /// `audit:read`.
    #[graphql(complexity = "5 + child_complexity")]
    async fn erasure(&self, context: &Context<'_>, user_id: ID) -> Nullable<ErasureObject> {
        nullable(async {
            let subject = subject_id("userId", &user_id)?;
            let any = &[Scope::UsersRead, Scope::UsersForget, Scope::AuditRead];
            Session::of(context)?.allow(any, Some(subject))?;
            Ok(context.data_unchecked::<Users>().erasure(subject).await?.map(ErasureObject::from))
        })
        .await
    }

    /// Who did what, the oldest first: at most 100 at a time, 20 if `first` is not given. About one user, or all;
    /// by one actor, or all. Needs `audit:read`.
    #[graphql(complexity = "page_complexity(first, None, child_complexity)")]
    async fn audit_events(
        &self,
        context: &Context<'_>,
        subject_id: Option<ID>,
        actor: Option<String>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<AuditEventConnection> {
        let subject = subject_id.map(|id| scalars::subject_id("subjectId", &id)).transpose()?;
        Session::of(context)?.allow(&[Scope::AuditRead], subject)?;
        let filter = Filter { subject, actor, ..Filter::default() };
        audit_events(context, filter, first, after.as_deref()).await
    }
}

async fn find_one(
    context: &Context<'_>,
    attribute: PersonalAttribute,
    value: &str,
) -> Result<Option<Answered<UserObject>>> {
    let look_up = LookUp::begin(context, attribute.into(), value)?;
    let user = written::user(context, Session::of(context)?, Whom::Value(&look_up)).await?;
    Ok(user.map(|user| user.map(UserObject)))
}

/// Who may ask for a user by the id. What they see of them needs more.
const ONE_USER: Need = Need::OneOfForAny(&[Scope::UsersRead, Scope::PiiRead]);

/// A page costs its fields once per user it may hold. A bad size is refused later, with its own error.
fn page_complexity(first: Option<i32>, last: Option<i32>, child_complexity: usize) -> usize {
    let size = first.or(last).and_then(|size| usize::try_from(size).ok());
    size.unwrap_or(20).clamp(1, 100) * child_complexity
}
