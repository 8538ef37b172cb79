use std::collections::HashSet;

use super::{Import, Imported, ImportedUser, compare::forgotten};
use crate::{
    attributes::AttributeName,
    audit::{self, Action, NewEvent},
    database::{begin_write, insert_new_together, insert_together, now, on_the_primary},
    entity::{SealedName, personal_value, user},
    envelope::{SealError, SubjectId},
    keys::{KeyringError, NewDataKey, store, sweep::Refusal},
    ledger::rollbacks,
    users::{UserAttribute, UserError},
};

/// A user who is about to be stored.
#[derive(Debug)]
struct Sealed {
    subject: SubjectId,
    row: user::Model,
    values: Vec<personal_value::Model>,
    key: NewDataKey,
    names: Vec<AttributeName>,
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
        if new.is_empty() {
            return Ok(());
        }
        // In one order, whoever brings the same users at the same time: who waits for the other one is not waited for.
        new.sort_unstable_by(|(_, one, _), (_, other, _)| {
            one.new.username.as_str().cmp(other.new.username.as_str())
        });
        let given: Vec<_> = new.iter().map(|(subject, user, _)| (*subject, *user)).collect();
        let mut created = self.try_create(&given).await;
        if created.as_ref().is_err_and(UserError::is_inactive_wrapping_key) {
            // The backend may have missed that another wrapping key is current.
            self.users.keyring.look().await;
            created = self.try_create(&given).await;
        }
        let mut created = created?;
        for (subject, _, outcome) in new {
            if created.remove(&subject) {
                *outcome = Some(Imported::Created(subject));
            }
        }
        Ok(())
    }

    /// Gives those who are stored.
    async fn try_create(
        &self,
        given: &[(SubjectId, &ImportedUser)],
    ) -> Result<HashSet<SubjectId>, UserError> {
        let subjects: Vec<_> = given.iter().map(|(subject, _)| *subject).collect();
        // Before the transaction: none is held open over a call to the key backend.
        let keys = self.users.keyring.generate_many(&subjects, &self.pace).await.map_err(refused)?;
        let sealed = given.iter().zip(keys).map(|((subject, user), key)| seal(*subject, user, key));
        let sealed = sealed.collect::<Result<Vec<_>, _>>()?;
        let with_own_id = given.iter().filter(|(_, user)| user.id.is_some()).map(|(subject, _)| *subject);
        let with_own_id: Vec<_> = with_own_id.collect();
        on_the_primary(&self.users.db, || self.store(&sealed, &with_own_id)).await
    }

    async fn store(
        &self,
        sealed: &[Sealed],
        with_own_id: &[SubjectId],
    ) -> Result<HashSet<SubjectId>, UserError> {
        let transaction = begin_write(&self.users.db).await?;
        let users = sealed.iter().map(|user| &user.row);
        let mut created = insert_new_together(&transaction, users, user::Column::Id).await?;
        // Only now: an id that was taken and forgotten meanwhile was waited for.
        let forgotten = forgotten(&transaction, with_own_id.to_vec()).await?;
        if !forgotten.is_empty() {
            transaction.rollback().await?;
            return Ok(HashSet::new());
        }
        // The first of several with one id.
        let new: Vec<_> = sealed.iter().filter(|user| created.remove(&user.row.id)).collect();
        insert_together(&transaction, new.iter().flat_map(|user| &user.values)).await?;
        let keys = new.iter().map(|user| (user.key.key.id(), &user.key.stored));
        let unconfirmed = store::insert_many(&transaction, keys).await?;
        let event = |user: &&Sealed| {
            NewEvent::new(&self.origin, Action::Create).about(user.subject).attributes(&user.names)
        };
        audit::append(&transaction, &new.iter().map(event).collect::<Vec<_>>()).await?;
        if !rollbacks::waiting_or(&transaction, &[]).await?.is_empty() {
            transaction.rollback().await?;
            return Err(UserError::LedgerWentBack);
        }
        self.users.keyring.confirm(&transaction, unconfirmed).await?;
        transaction.commit().await?;
        Ok(new.into_iter().map(|user| user.subject).collect())
    }
}

fn seal(subject: SubjectId, user: &ImportedUser, key: NewDataKey) -> Result<Sealed, SealError> {
    let (sealer, now) = (key.sealer(), now());
    let mut row = user::Model {
        id: subject.into(),
        username: user.new.username.as_str().to_owned(),
        created_at: now,
        updated_at: now,
        ..user::Model::default()
    };
    user.new.personal.columns.apply(Some(sealer), &mut row)?;
    let mut values = Vec::new();
    for (attribute, value) in user.new.personal.new_values() {
        if let UserAttribute::Declared(declaration) = attribute {
            values.push(personal_value::Model {
                subject_id: subject.into(),
                attribute: SealedName::of(declaration.name()),
                sealed: sealer.seal_named(declaration.sealed_name(), value)?,
                updated_at: now,
            });
        }
    }
    Ok(Sealed { subject, row, values, names: user.new.names(), key })
}

fn refused(refusal: Refusal) -> UserError {
    match refusal {
        Refusal::Stopped => UserError::Interrupted,
        Refusal::Backend(error) => KeyringError::from(error).into(),
    }
}
