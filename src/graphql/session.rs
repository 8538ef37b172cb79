use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_graphql::{Context, Error};

use super::errors;
use crate::{
    access::{Account, Budget, Caller, Denied, Scope},
    audit::{Action, NewEvent, Origin, Outcome},
    envelope::SubjectId,
};

/// One request: who sends it, what they may do, and what they have looked at.
///
/// Each resolver asks here before it does anything. Not async-graphql's guards: a guard that refuses takes the
/// whole parent out of the answer, where the GraphQL specification (6.4.4) has null for the one field. A test
/// walks the schema and fails for a field whose scope nobody decided.
#[derive(Clone, Debug)]
pub struct Session(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    caller: Arc<Caller>,
    origin: Origin,
    account: OnceLock<Account>,
    seen: Mutex<Seen>,
}

/// What is to be recorded of a request, beside the changes it makes, which record themselves.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Personal values that were opened, or were to be.
    pub(super) looks: Vec<NewEvent>,
    /// What was refused.
    pub(super) refusals: Vec<NewEvent>,
    /// Whose values, and which: made into events in the end, one for each subject and outcome.
    values: Vec<(SubjectId, Outcome, Vec<&'static str>)>,
}

impl Session {
    /// A request of `caller`.
    #[must_use]
    pub fn new(caller: Arc<Caller>, request_id: &str) -> Self {
        let origin = Origin::new(&caller.actor).in_request(request_id);
        Self(Arc::new(Inner { caller, origin, account: OnceLock::new(), seen: Mutex::default() }))
    }

    /// The session of the request that a resolver runs for. Without one, nothing is allowed.
    pub(super) fn of<'a>(context: &Context<'a>) -> Result<&'a Self, Error> {
        context.data_opt().ok_or_else(errors::unauthenticated)
    }

    /// Who sends it.
    pub(super) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// Whose doing a change is.
    pub(super) fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Allows what one of `scopes` allows, about one user, or, for `None`, about all.
    pub(super) fn allow(&self, scopes: &'static [Scope], about: Option<SubjectId>) -> Result<(), Denied> {
        self.caller().allow_about(scopes, about)
    }

    /// The same for a change. A refusal is recorded.
    pub(super) fn allow_change(
        &self,
        action: Action,
        scopes: &'static [Scope],
        about: Option<SubjectId>,
    ) -> Result<(), Denied> {
        self.allow(scopes, about).inspect_err(|_| self.note_refusal(action, about))
    }

    /// Allows a user to be given another username. A refusal is recorded.
    pub(super) fn allow_rename(&self, subject: SubjectId) -> Result<(), Denied> {
        self.caller().allow_rename().inspect_err(|_| self.note_refusal(Action::Update, Some(subject)))
    }

    fn note_refusal(&self, action: Action, about: Option<SubjectId>) {
        let event = NewEvent::new(self.origin(), action).outcome(Outcome::Denied);
        self.seen(|seen| seen.refusals.push(about.into_iter().fold(event, NewEvent::about)));
    }

    /// Allows a personal value to be opened, and charges the caller's budget. The first refusal of a request is
    /// recorded.
    pub(super) fn allow_look(
        &self,
        budget: &Budget,
        scopes: &'static [Scope],
        subject: SubjectId,
        attribute: &'static str,
    ) -> Result<(), Error> {
        let charge = || self.0.account.get_or_init(|| budget.account(self.caller())).charge(subject);
        let allowed = self.allow(scopes, Some(subject)).map_err(Error::from);
        allowed.and_then(|()| Ok(charge()?)).inspect_err(|_| {
            self.seen(|seen| {
                if !seen.values.iter().any(|(_, outcome, _)| *outcome == Outcome::Denied) {
                    seen.values.push((subject, Outcome::Denied, vec![attribute]));
                }
            });
        })
    }

    /// Notes that a personal value was opened, or could not be.
    pub(super) fn note_look(&self, subject: SubjectId, attribute: &'static str, opened: bool) {
        let outcome = if opened { Outcome::Ok } else { Outcome::Failed };
        self.seen(|seen| {
            // The fields of one user mostly follow each other.
            let known =
                seen.values.iter_mut().rev().find(|(whose, what, _)| (*whose, *what) == (subject, outcome));
            match known {
                Some((_, _, attributes)) if attributes.contains(&attribute) => {}
                Some((_, _, attributes)) => attributes.push(attribute),
                None => seen.values.push((subject, outcome, vec![attribute])),
            }
        });
    }

    /// What is to be recorded, once.
    pub(super) fn take_seen(&self) -> Seen {
        let mut seen = self.seen(std::mem::take);
        for (subject, outcome, mut attributes) in std::mem::take(&mut seen.values) {
            // In the order of their names: that in which they are resolved is nobody's business.
            attributes.sort_unstable();
            let event = NewEvent::new(self.origin(), Action::ReadPii).about(subject);
            let event = event.attributes(&attributes).outcome(outcome);
            if outcome == Outcome::Denied { seen.refusals.push(event) } else { seen.looks.push(event) }
        }
        seen
    }

    fn seen<T>(&self, what: impl FnOnce(&mut Seen) -> T) -> T {
        // Nothing panics while it is locked; if it did, what was noted would still be sound.
        what(&mut self.0.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
