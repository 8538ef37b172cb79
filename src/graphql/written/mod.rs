//! Users, written as JSON in one pass instead of being resolved field by field.
//!
//! For each field of each user, async-graphql makes a boxed future, a place in a set of futures, a value, and an entry in a map,
//! which are walked again to write the answer: most of what a page costs. Here, the selection is read once, the rows have only the
//! columns that it needs, their data keys are opened together, and each value is opened straight into the answer.
//!
//! What is unusual is left to the ordinary resolvers, over the same rows, as if nothing had been tried: a directive, a value that does not open at once, a
//! caller who may not see all of it, a budget that is spent. So all errors are theirs, and nothing but what was written is recorded
//! here. A differential test (`tests/it/written`) sends the same documents both ways.

mod answered;
mod attribute;
mod connection;
mod json;
mod selection;
mod user;

use std::borrow::Cow;

use async_graphql::{Context, Error, parser::types::SelectionSet};
use bytes::Bytes;

pub(super) use answered::{Answered, ResolveAll};
use connection::ConnectionSelection;
use selection::Around;
use user::UserSelection;

use super::{attribute::reads, find::LookUp, looks::PageLook, session::Session};
use crate::{
    access::{Budget, Need},
    attributes::AttributeName,
    envelope::{Opener, SubjectId},
    users::{Columns, NotAtOnce, Reads, User, UserError, UserPage, UserPageRequest, Users},
};

/// A page of users. The caller may see all users.
///
/// # Errors
///
/// As for [`Users::list`].
pub(super) async fn page(
    context: &Context<'_>,
    session: &Session,
    request: UserPageRequest,
) -> Result<Answered<UserPage>, UserError> {
    let users = context.data_unchecked::<Users>();
    let selection = Document::of(context)
        .and_then(|Document { set, around }| ConnectionSelection::of(set, &around))
        .map(|selection| (Look::of(selection.users()), selection))
        .filter(|(look, _)| look.is_allowed(session, None));
    let Some((look, selection)) = selection else {
        return Ok(Answered::Resolved(users.list_with(request, &reads(context)).await?));
    };
    let page = users.list_with(request, &look.reads).await?;
    let write = |out: &mut Vec<u8>, opener: &mut Opener| selection.write(out, &page, opener);
    match look.write(context, session, &page.users, selection.length(page.users.len()), write).await {
        Some(json) => Ok(Answered::Written(json)),
        // What was read is what is selected.
        None => Ok(Answered::Resolved(page)),
    }
}

/// How a user is found.
#[derive(Clone, Copy)]
pub(super) enum Whom<'a> {
    /// By the id. The caller may see this user.
    Id(SubjectId),
    /// By the username. The caller may see all users.
    Username(&'a str),
    /// By a value. The caller may see all users.
    Value(&'a LookUp),
}

/// A user, if there is one.
///
/// # Errors
///
/// As for [`Users::find`]; or that nobody may be looked for.
pub(super) async fn user(
    context: &Context<'_>,
    session: &Session,
    whom: Whom<'_>,
) -> Result<Option<Answered<User>>, Error> {
    let users = context.data_unchecked::<Users>();
    let about = match whom {
        Whom::Id(id) => Some(id),
        Whom::Username(_) | Whom::Value(_) => None,
    };
    let selection = Document::of(context)
        .and_then(|Document { set, around }| UserSelection::of(set, &around))
        .map(|selection| (Look::of([&selection]), selection))
        .filter(|(look, _)| look.is_allowed(session, about));
    let reads =
        selection.as_ref().map_or_else(|| Cow::Owned(reads(context)), |(look, _)| Cow::Borrowed(&look.reads));
    let found = match whom {
        Whom::Id(id) => users.find_with(id, &reads).await?,
        Whom::Username(name) => users.find_by_username(name, &reads).await?,
        Whom::Value(look_up) => look_up.one(context, session, &reads).await?,
    };
    let Some(user) = found else { return Ok(None) };
    let Some((look, selection)) = &selection else { return Ok(Some(Answered::Resolved(user))) };
    let write = |out: &mut Vec<u8>, opener: &mut Opener| selection.write(out, &user, opener);
    match look.write(context, session, std::slice::from_ref(&user), selection.length(), write).await {
        Some(json) => Ok(Some(Answered::Written(json))),
        // What was read is what is selected.
        None => Ok(Some(Answered::Resolved(user))),
    }
}

/// What is selected below the field that is answered.
struct Document<'a> {
    set: &'a SelectionSet,
    around: Around<'a>,
}

impl<'a> Document<'a> {
    fn of(context: &Context<'a>) -> Option<Self> {
        let field = &context.item.node;
        let usual = field.directives.is_empty() && context.data_opt::<ResolveAll>().is_none();
        let environment = context.query_env;
        let (fragments, variables) = (&environment.fragments, &environment.variables);
        let around = Around { fragments, variables, users: context.data_unchecked() };
        usual.then_some(Self { set: &field.selection_set.node, around })
    }
}

/// What is looked at of each user.
struct Look {
    /// What is read.
    reads: Reads,
    /// What is looked at, as it is recorded.
    names: Vec<AttributeName>,
    /// What the caller must have.
    needs: Vec<Need>,
    /// Whether any value is opened.
    opens: bool,
}

impl Look {
    fn of<'s>(selections: impl IntoIterator<Item = &'s UserSelection>) -> Self {
        let mut look = Self {
            reads: Reads { columns: Columns::ID, ..Reads::COLUMNS },
            names: Vec::new(),
            needs: Vec::new(),
            opens: false,
        };
        for selection in selections {
            selection.add_reads(&mut look.reads);
            add_new(&mut look.names, selection.names());
            add_new(&mut look.needs, selection.needs());
            look.opens |= selection.opens();
        }
        look
    }

    /// Whether the caller may see all of it; `about` one user, or about all.
    fn is_allowed(&self, session: &Session, about: Option<SubjectId>) -> bool {
        self.needs.iter().all(|need| session.may(need, about))
    }

    /// Opens the keys, has `write` write, and notes what was seen. `None` if users must be resolved. `length` is about that of what is
    /// written, in bytes.
    async fn write(
        &self,
        context: &Context<'_>,
        session: &Session,
        users: &[User],
        length: usize,
        write: impl FnOnce(&mut Vec<u8>, &mut Opener) -> Result<(), NotAtOnce>,
    ) -> Option<Bytes> {
        if !self.names.is_empty() {
            let subjects = users.iter().map(User::id);
            if !session.may_look_at(context.data_unchecked::<Budget>(), subjects) {
                return None;
            }
            if let Some(user) = users.first().filter(|_| self.opens) {
                user.open_keys().await;
            }
        }
        let mut json = Vec::with_capacity(length);
        write(&mut json, &mut Opener::new()).ok()?;
        if !self.names.is_empty() && !users.is_empty() {
            session.note_page(|| PageLook {
                attributes: self.names.clone(),
                subjects: users.iter().map(User::id).collect(),
            });
        }
        Some(json.into())
    }
}

fn add_new<T: PartialEq>(all: &mut Vec<T>, more: impl Iterator<Item = T>) {
    for item in more {
        if !all.contains(&item) {
            all.push(item);
        }
    }
}
