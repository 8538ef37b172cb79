use std::collections::{HashMap, HashSet};

use super::{
    Import, Imported, ImportedUser,
    compare::{forgotten, is_anybody_forgotten},
    require_trusted_ledger,
};
use crate::{
    attributes::AttributeName,
    audit::{self, Action, NewEvent},
    database::{begin_write, insert_new_together, insert_together, on_the_primary},
    entity::{personal_value, user},
    envelope::SubjectId,
    keys::{KeyringError, NewDataKey, store, sweep::Refusal},
    search::{self, NewTags, Tagger},
    users::{UserError, values},
};

/// A user who is about to be stored.
#[derive(Debug)]
struct Sealed {
    subject: SubjectId,
    row: user::Model,
    values: Vec<personal_value::Model>,
    key: NewDataKey,
    tags: NewTags,
    names: Vec<AttributeName>,
}

/// What became of users who were to be stored.
#[derive(Debug)]
enum Stored {
    /// These are, and the others are somebody else's doing.
    These(HashSet<SubjectId>),
    /// None is: of these, others have a value that one alone may have.
    Taken(Vec<(SubjectId, String)>),
}

type Open<'a> = (&'a ImportedUser, &'a mut Option<Imported>);

/// Says of those who are new here that they would be created.
pub(super) fn would_create<'a>(new: impl Iterator<Item = Open<'a>>) {
    for (user, outcome) in new {
        *outcome = Some(Imported::Created(user.id.unwrap_or_else(SubjectId::generate)));
    }
}

impl Import {
    /// Creates those who are new here. Whom somebody else has made or forgotten meanwhile is left open.
    pub(super) async fn create(&self, new: Vec<Open<'_>>) -> Result<(), UserError> {
        let mut new: Vec<_> = new
            .into_iter()
            .map(|(user, outcome)| (user.id.unwrap_or_else(SubjectId::generate), user, outcome))
            .collect();
        // In one order, whoever brings the same users at the same time: who waits for the other one is not waited for.
        new.sort_by(|(_, one, _), (_, other, _)| one.new.username.as_str().cmp(other.new.username.as_str()));
        // The database says by the id who is stored.
        let mut ids = HashSet::new();
        new.retain(|(subject, ..)| ids.insert(*subject));
        if new.is_empty() {
            return Ok(());
        }
        let given: Vec<_> = new.iter().map(|(subject, user, _)| (*subject, *user)).collect();
        let create = || self.users.with_current_indexes(|| self.try_create(&given));
        let mut created = create().await;
        if created.as_ref().is_err_and(UserError::is_inactive_wrapping_key) {
            // The backend may have missed that another wrapping key is current.
            self.users.keyring.look().await;
            created = create().await;
        }
        match created? {
            Stored::These(created) => {
                for (subject, _, outcome) in new.into_iter().filter(|(subject, ..)| created.contains(subject))
                {
                    *outcome = Some(Imported::Created(subject));
                }
            }
            Stored::Taken(taken) => {
                let mut taken: HashMap<_, _> = taken.into_iter().collect();
                for (subject, _, outcome) in new {
                    let refused =
                        |field: String| Imported::Refused { field: field.into(), problem: TAKEN.to_owned() };
                    *outcome = taken.remove(&subject).map(refused);
                }
            }
        }
        Ok(())
    }

    /// Gives those who are stored.
    async fn try_create(&self, given: &[(SubjectId, &ImportedUser)]) -> Result<Stored, UserError> {
        let changes: Vec<_> = given.iter().flat_map(|(_, user)| user.new.personal.tagged()).collect();
        let tagger = self.users.search.tagger(&changes, Some(&self.pace)).await?;
        let subjects: Vec<_> = given.iter().map(|(subject, _)| *subject).collect();
        // Before the transaction: none is held open over a call to the key backend.
        let keys = self.users.keyring.generate_many(&subjects, &self.pace).await.map_err(refused)?;
        let sealed = given.iter().zip(keys).map(|((subject, user), key)| seal(*subject, user, key, &tagger));
        let sealed = sealed.collect::<Result<Vec<_>, _>>()?;
        let own_ids: Vec<_> = given.iter().filter_map(|(_, user)| user.id).collect();
        on_the_primary(&self.users.db, || self.store(&sealed, &own_ids)).await
    }

    async fn store(&self, sealed: &[Sealed], own_ids: &[SubjectId]) -> Result<Stored, UserError> {
        let transaction = begin_write(&self.users.db).await?;
        let users = sealed.iter().map(|user| &user.row);
        let created = insert_new_together(&transaction, users, user::Column::Id).await?;
        // Only now: an id that was taken and forgotten meanwhile was waited for.
        let is_unknown = own_ids.len() < sealed.len() && !self.options.without_ids;
        if !forgotten(&transaction, own_ids.to_vec()).await?.is_empty()
            || is_unknown && is_anybody_forgotten(&transaction).await?
        {
            transaction.rollback().await?;
            return Ok(Stored::These(HashSet::new()));
        }
        require_trusted_ledger(&transaction).await?;
        let new: Vec<_> = sealed.iter().filter(|user| created.contains(&user.row.id)).collect();
        insert_together(&transaction, new.iter().flat_map(|user| &user.values)).await?;
        let taken = search::insert_together(&transaction, new.iter().map(|user| &user.tags)).await?;
        if !taken.is_empty() {
            transaction.rollback().await?;
            return Ok(Stored::Taken(taken));
        }
        let keys = new.iter().map(|user| (user.key.key.id(), &user.key.stored));
        let unconfirmed = store::insert_many(&transaction, keys).await?;
        let event = |user: &&Sealed| {
            NewEvent::new(&self.origin, Action::Create).about(user.subject).attributes(&user.names)
        };
        audit::append(&transaction, &new.iter().map(event).collect::<Vec<_>>()).await?;
        self.users.keyring.confirm(&transaction, unconfirmed).await?;
        if let Some(user) = new.first() {
            user.tags.confirm(&transaction).await?;
        }
        transaction.commit().await?;
        Ok(Stored::These(new.into_iter().map(|user| user.subject).collect()))
    }
}

fn seal(
    subject: SubjectId,
    user: &ImportedUser,
    key: NewDataKey,
    tagger: &Tagger,
) -> Result<Sealed, UserError> {
    let row = user.new.row(subject, key.sealer())?;
    let values = values::sealed(subject, &user.new.personal.declared, Some(key.sealer()), row.created_at)?;
    let tags = tagger.tags(subject, user.new.personal.tagged())?;
    Ok(Sealed { subject, row, values, tags, names: user.new.names(), key })
}

const TAKEN: &str = "is that of another user, and one alone can have it";

fn refused(refusal: Refusal) -> UserError {
    match refusal {
        Refusal::Stopped => UserError::Interrupted,
        Refusal::Backend(error) => KeyringError::from(error).into(),
    }
}
