//! What the caller may do, asked by each resolver before it does anything.
//!
//! Not async-graphql's guards: a guard that refuses takes the whole parent out of the answer, where the
//! GraphQL specification (6.4.4) has null for the one field. A test walks the schema and fails for a field
//! that asks for nothing.

use std::sync::Arc;

use async_graphql::{Context, Error};

use super::errors;
use crate::{
    access::{Budget, Caller, Scope},
    envelope::SubjectId,
};

/// Allows what one of `scopes` allows, about users in general.
pub(super) fn allow_about_all(context: &Context<'_>, scopes: &'static [Scope]) -> Result<(), Error> {
    Ok(caller(context)?.allow_about(scopes, None)?)
}

/// Allows what one of `scopes` allows, about one user.
pub(super) fn allow_about(
    context: &Context<'_>,
    scopes: &'static [Scope],
    subject: SubjectId,
) -> Result<(), Error> {
    Ok(caller(context)?.allow_about(scopes, Some(subject))?)
}

/// Allows a personal attribute to be opened, and charges the caller's budget.
pub(super) fn allow_opening(
    context: &Context<'_>,
    scopes: &'static [Scope],
    subject: SubjectId,
) -> Result<(), Error> {
    let caller = caller(context)?;
    caller.allow_about(scopes, Some(subject))?;
    Ok(context.data_unchecked::<Budget>().charge(caller, subject)?)
}

/// Who sends the request. Without one, nothing is allowed.
pub(super) fn caller<'a>(context: &Context<'a>) -> Result<&'a Caller, Error> {
    context.data_opt::<Arc<Caller>>().map(|caller| &**caller).ok_or_else(errors::unauthenticated)
}
