use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use async_graphql::{Context, Error};

use super::{
    errors,
    looks::{Find, Looks, PageLook},
};
use crate::{
    access::{Account, Budget, Caller, Denied, Exhausted, Need, Refusals, Reservation, Scope},
    attributes::AttributeName,
    audit::{Action, MAX_SUBJECTS, NewEvent, Origin, Outcome, Trail},
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
    trail: Trail,
    refusals: Refusals,
}

/// What is to be recorded of a request, beside the changes it makes, which record themselves.
#[derive(Debug, Default)]
struct Seen {
    looks: Looks,
    /// What was refused: one event for each action.
    refused: Vec<Refused>,
}

/// What was refused of one kind.
#[derive(Debug)]
struct Refused {
    /// When it was refused first, and what.
    event: NewEvent,
    action: Action,
    count: u32,
    subjects: Vec<SubjectId>,
    attributes: BTreeSet<AttributeName>,
}

impl Session {
    /// A request of `caller`. What it is refused is counted in `refusals`, and recorded in `trail` when the request has
    /// ended, however it did: also if nobody waits for the answer any more.
    pub(super) fn new(caller: Arc<Caller>, request_id: &str, trail: Trail, refusals: Refusals) -> Self {
        let origin = Origin::new(&caller.actor).in_request(request_id);
        let (account, seen) = (OnceLock::new(), Mutex::default());
        Self(Arc::new(Inner { caller, origin, account, seen, trail, refusals }))
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

    /// Allows what needs these scopes, about one user, or, for `None`, about all. A refusal is recorded, as all are.
    pub(super) fn allow(&self, need: impl Into<Need>, about: Option<SubjectId>) -> Result<(), Denied> {
        self.allow_action(Action::Read, need, about)
    }

    /// The same for another action than a look at what is not personal.
    pub(super) fn allow_action(
        &self,
        action: Action,
        need: impl Into<Need>,
        about: Option<SubjectId>,
    ) -> Result<(), Denied> {
        self.caller().allow_about(need, about).inspect_err(|_| self.note_refusal(action, about, None))
    }

    /// Allows somebody to be found by something other than their id.
    pub(super) fn allow_find(&self, need: impl Into<Need>) -> Result<(), Denied> {
        self.caller().allow(need).inspect_err(|_| self.note_refusal(Action::Read, None, None))
    }

    /// Refuses a caller who is bound to one user to find another.
    pub(super) fn refuse_find(&self) -> Denied {
        self.note_refusal(Action::Read, None, None);
        Denied::Own
    }

    /// Allows somebody to be looked for by an attribute.
    pub(super) fn allow_find_by(&self, attribute: &AttributeName) -> Result<(), Denied> {
        let allowed = self.caller().allow_find(attribute);
        allowed.inspect_err(|_| self.note_refusal(Action::Find, None, Some(attribute)))
    }

    /// Charges the caller's budget as for somebody who is found.
    pub(super) fn begin_find(
        &self,
        budget: &Budget,
        attribute: &AttributeName,
    ) -> Result<Reservation, Exhausted> {
        let reserved = self.account(budget).reserve();
        reserved.inspect_err(|_| self.note_refusal(Action::Find, None, Some(attribute)))
    }

    /// Charges the caller's budget for those who were found, and notes that they were, or that nobody was, if looks are recorded.
    pub(super) fn end_find(
        &self,
        budget: &Budget,
        reservation: Reservation,
        attribute: &AttributeName,
        found: Result<Vec<SubjectId>, ()>,
    ) -> Result<(), Exhausted> {
        let (subjects, outcome) = match found {
            Ok(subjects) => (subjects, Outcome::Ok),
            Err(()) => (Vec::new(), Outcome::Failed),
        };
        let account = self.account(budget);
        let mut others = subjects.iter();
        if let Some(first) = others.next() {
            account.settle(reservation, *first);
        }
        let charged = others.try_for_each(|subject| account.charge(*subject));
        if self.0.trail.records_reads() {
            let attribute = attribute.clone();
            self.seen(|seen| seen.looks.add_find(Find { attribute, subjects, outcome }));
        }
        charged
    }

    /// Allows attributes of a user to be changed that one user alone can have.
    pub(super) fn allow_unique(
        &self,
        subject: SubjectId,
        attributes: &[AttributeName],
    ) -> Result<(), Denied> {
        let Some(attribute) = attributes.first().filter(|_| self.caller().own.is_some()) else {
            return Ok(());
        };
        self.note_refusal(Action::Update, Some(subject), Some(attribute));
        Err(Denied::Unique(attribute.clone()))
    }

    /// Allows attributes of a user to be changed.
    pub(super) fn allow_change(
        &self,
        subject: SubjectId,
        attributes: &[AttributeName],
    ) -> Result<(), Denied> {
        let refused = attributes.iter().find_map(|attribute| {
            let need = Need::For(Scope::UsersWrite, attribute.clone());
            self.caller().allow_about(need, Some(subject)).err().map(|denied| (attribute, denied))
        });
        let Some((attribute, denied)) = refused else { return Ok(()) };
        self.note_refusal(Action::Update, Some(subject), Some(attribute));
        Err(denied)
    }

    /// Allows a user to be given another username.
    pub(super) fn allow_rename(&self, subject: SubjectId) -> Result<(), Denied> {
        let whole: Result<(), Denied> = self.caller().allow(&[Scope::UsersWrite]);
        let allowed = whole.and_then(|()| self.caller().allow_rename());
        allowed.inspect_err(|_| self.note_refusal(Action::Update, Some(subject), None))
    }

    /// Allows a personal value to be opened, and charges the caller's budget.
    pub(super) fn allow_look(
        &self,
        budget: &Budget,
        need: impl Into<Need>,
        subject: SubjectId,
        attribute: &AttributeName,
    ) -> Result<(), Error> {
        let charge = || self.account(budget).charge(subject);
        let allowed = self.caller().allow_about(need, Some(subject)).map_err(Error::from);
        allowed
            .and_then(|()| Ok(charge()?))
            .inspect_err(|_| self.note_refusal(Action::ReadPii, Some(subject), Some(attribute)))
    }

    /// Notes that a personal value was opened, or could not be, if looks are recorded.
    pub(super) fn note_look(&self, subject: SubjectId, attribute: &AttributeName, opened: bool) {
        if self.0.trail.records_reads() {
            let outcome = if opened { Outcome::Ok } else { Outcome::Failed };
            self.seen(|seen| seen.looks.add(subject, outcome, attribute.clone()));
        }
    }

    /// Whether `allow_look` would allow all of it: some attributes of each of `subjects`. Charges the caller's budget. Notes no refusal:
    /// who is refused has to ask for one value after the other.
    pub(super) fn may_look_at(&self, budget: &Budget, subjects: impl IntoIterator<Item = SubjectId>) -> bool {
        let account = self.account(budget);
        subjects.into_iter().all(|subject| account.charge(subject).is_ok())
    }

    /// Whether `allow` would allow it. Notes no refusal.
    pub(super) fn may(&self, need: &Need, about: Option<SubjectId>) -> bool {
        self.caller().allow_about(need.clone(), about).is_ok()
    }

    /// Notes that the same personal values of several users were opened, if looks are recorded.
    pub(super) fn note_page(&self, look: impl FnOnce() -> PageLook) {
        if self.0.trail.records_reads() {
            self.seen(|seen| seen.looks.add_page(look()));
        }
    }

    /// The looks that are to be recorded, once.
    pub(super) fn take_looks(&self) -> Vec<NewEvent> {
        self.seen(|seen| std::mem::take(&mut seen.looks)).into_events(self.origin())
    }

    fn account(&self, budget: &Budget) -> &Account {
        self.0.account.get_or_init(|| budget.account(self.caller()))
    }

    fn note_refusal(&self, action: Action, about: Option<SubjectId>, attribute: Option<&AttributeName>) {
        self.seen(|seen| {
            let known = seen.refused.iter().position(|refused| refused.action == action);
            let known = known.unwrap_or_else(|| {
                let event = NewEvent::new(self.origin(), action).outcome(Outcome::Denied);
                let (subjects, attributes) = (Vec::new(), BTreeSet::new());
                seen.refused.push(Refused { event, action, count: 0, subjects, attributes });
                seen.refused.len() - 1
            });
            let Refused { count, subjects, attributes, .. } = &mut seen.refused[known];
            *count = count.saturating_add(1);
            attributes.extend(attribute.cloned());
            let new = about.filter(|subject| subjects.len() < MAX_SUBJECTS && !subjects.contains(subject));
            subjects.extend(new);
        });
    }

    fn seen<T>(&self, what: impl FnOnce(&mut Seen) -> T) -> T {
        // Nothing panics while it is locked; if it did, what was noted would still be sound.
        what(&mut self.0.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The one place where refusals are recorded: a request ends here whether it is answered, or its client has gone, or its
/// time is over.
impl Drop for Inner {
    fn drop(&mut self) {
        let seen = self.seen.get_mut().unwrap_or_else(PoisonError::into_inner);
        let events: Vec<_> = seen.refused.drain(..).map(Refused::into_event).collect();
        self.refusals.count(&self.caller.actor, events.len());
        self.trail.record_soon(&events);
    }
}

impl Refused {
    fn into_event(self) -> NewEvent {
        let Self { event, count, subjects, attributes, .. } = self;
        let attributes: Vec<_> = attributes.into_iter().collect();
        event.about_each(&subjects).attributes(&attributes).times(count)
    }
}
