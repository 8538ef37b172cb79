//! Bringing users from elsewhere: many in one transaction, each once, and none who is there is changed.

mod compare;
mod create;

use std::{borrow::Cow, sync::Arc};

use sea_orm::ConnectionTrait;
use tokio_util::sync::CancellationToken;

use self::create::would_create;
use super::{NewUser, UserError, Users, run_to_completion};
use crate::{
    audit::Origin,
    database::is_deadlock,
    envelope::SubjectId,
    keys::sweep::{Pace, SweepOptions, Tally},
    ledger::rollbacks,
};

/// How often a batch is tried again of which somebody else made some meanwhile.
const ATTEMPTS: usize = 5;

/// A user who comes from elsewhere, checked.
#[derive(Debug)]
pub struct ImportedUser {
    /// The id that the user has there, and will have here; without one, a new one.
    pub id: Option<SubjectId>,
    /// What there is of them.
    pub new: NewUser,
}

/// What became of a user who was to be brought in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The user is new here.
    Created(SubjectId),
    /// The user was here already, and what is given is what is here.
    Same(SubjectId),
    /// The user was here already and is as before: these are other than what is given.
    Different(SubjectId, Vec<Difference>),
    /// The user cannot be brought in.
    Refused {
        /// What is wrong: `id`, `username`, or the name of an attribute.
        field: Cow<'static, str>,
        /// Why, as the end of a sentence.
        problem: String,
    },
}

/// Something that is other than what is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The name of the attribute, or `username`.
    pub field: String,
    /// Why, as the end of a sentence, without the value.
    pub problem: &'static str,
}

/// How users are brought in.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions {
    /// Nothing is stored but the looks at users who are here already.
    pub dry_run: bool,
    /// Users without an id are taken for new ones, although somebody was forgotten: whoever gives them knows that nobody of these is among them. The
    /// erasure ledger knows ids, and nothing else.
    pub without_ids: bool,
}

/// Brings users in. Cheap to clone: all clones share one pace.
#[derive(Clone, Debug)]
pub struct Import {
    users: Users,
    origin: Origin,
    pace: Arc<Pace>,
    options: ImportOptions,
}

impl Users {
    /// What brings in users in the name of somebody. Of a sweep's options, it takes those about calls to the key backend: how many at the
    /// same time and a second, and for how long a failing one is made again.
    #[must_use]
    pub fn import(&self, origin: &Origin, sweep: &SweepOptions, options: ImportOptions) -> Import {
        // What is in hand is always finished.
        let pace = Pace::new(sweep, &CancellationToken::new(), Arc::new(Tally::default()));
        Import { users: self.clone(), origin: origin.clone(), pace: Arc::new(pace), options }
    }
}

impl Import {
    /// Brings in users, and says what became of each, in their order: in one transaction, and one more for those who were in the way of
    /// each other, or of somebody else. Some thousands at a time at most, since all of them are in memory. Users who are here already are known by their
    /// id, or by their username if no id is given. They are compared with what is given, which is recorded as a look at the values: it confirms what
    /// is given.
    ///
    /// # Errors
    ///
    /// [`UserError::Keys`], [`UserError::LedgerWentBack`], [`UserError::Database`], [`UserError::Contended`]: then some of them may be here
    /// all the same, each of them whole. All of them can be brought again.
    pub async fn bring(&self, users: Vec<ImportedUser>) -> Result<Vec<Imported>, UserError> {
        run_to_completion(self.clone().bring_now(users)).await
    }

    async fn bring_now(self, users: Vec<ImportedUser>) -> Result<Vec<Imported>, UserError> {
        let mut outcomes: Vec<Option<Imported>> = vec![None; users.len()];
        for _ in 0..ATTEMPTS {
            require_trusted_ledger(&self.users.db).await?;
            self.look_up(&users, &mut outcomes).await?;
            let new = users.iter().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_none());
            if self.options.dry_run {
                would_create(new);
            } else {
                match self.create(new.collect()).await {
                    // The same ids under other usernames, by somebody else at the same time: one of both is undone.
                    Err(UserError::Database(error)) if is_deadlock(&error) => {}
                    created => created?,
                }
            }
            if outcomes.iter().all(Option::is_some) {
                return Ok(outcomes.into_iter().flatten().collect());
            }
        }
        Err(UserError::Contended)
    }
}

/// Asks the database, and not what a server remembers: this writes.
async fn require_trusted_ledger(db: &impl ConnectionTrait) -> Result<(), UserError> {
    let waiting = rollbacks::waiting_or(db, &[]).await?;
    if waiting.is_empty() { Ok(()) } else { Err(UserError::LedgerWentBack) }
}
