use async_graphql::{Context, Error};

use super::{attribute::reads, errors::bad_input, session::Session};
use crate::{
    access::{Budget, Reservation},
    attributes::{AttributeName, Search},
    envelope::SubjectId,
    users::{Reads, SearchedValue, User, UserAttribute, UserError, UserPage, Users},
};

/// Somebody is looked for by a value: allowed, and paid for.
pub(super) struct LookUp {
    value: SearchedValue,
    recorded: AttributeName,
    reservation: Reservation,
}

impl LookUp {
    /// Checks that the caller may look, the value, and the caller's budget, in this order.
    pub(super) fn begin(context: &Context<'_>, attribute: UserAttribute, value: &str) -> Result<Self, Error> {
        let (session, recorded) = (Session::of(context)?, attribute.recorded());
        session.allow_find_by(&recorded)?;
        let users = context.data_unchecked::<Users>();
        if users.search_settings(&attribute).search == Search::None {
            let problem = format!(
                "cannot be `{}`, which people are not found by: it is configured with search = \"none\"",
                attribute.name()
            );
            return Err(bad_input("attribute", &problem));
        }
        let value = SearchedValue::parse(attribute, value)?;
        let reservation = session.begin_find(context.data_unchecked::<Budget>(), &recorded)?;
        Ok(Self { value, recorded, reservation })
    }

    /// The one who has the value, if anybody has.
    pub(super) async fn one(
        &self,
        context: &Context<'_>,
        session: &Session,
        reads: &Reads,
    ) -> Result<Option<User>, Error> {
        let found = context.data_unchecked::<Users>().find_by_value(&self.value, reads).await;
        let subjects = match &found {
            Ok(user) => Ok(user.iter().map(User::id).collect()),
            Err(UserError::Ambiguous { subjects, .. }) => Ok(subjects.clone()),
            Err(_) => Err(()),
        };
        self.end(context, session, subjects)?;
        Ok(found?)
    }

    /// Those who have the value.
    pub(super) async fn page(
        &self,
        context: &Context<'_>,
        after: Option<SubjectId>,
        size: u64,
    ) -> Result<UserPage, Error> {
        let users = context.data_unchecked::<Users>();
        let found = users.find_all_by_value(&self.value, after, size, &reads(context)).await;
        let subjects = found.as_ref().map(|page| page.users.iter().map(User::id).collect()).map_err(|_| ());
        self.end(context, Session::of(context)?, subjects)?;
        Ok(found?)
    }

    fn end(
        &self,
        context: &Context<'_>,
        session: &Session,
        found: Result<Vec<SubjectId>, ()>,
    ) -> Result<(), Error> {
        let budget = context.data_unchecked::<Budget>();
        Ok(session.end_find(budget, self.reservation, &self.recorded, found)?)
    }
}
