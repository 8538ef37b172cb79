use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
};
use uuid::Uuid;

use super::{UserError, Users, run_to_completion};
use crate::{
    access::tokens,
    audit::{self, Action, NewEvent, Origin},
    database::{WriteTransaction, begin_write, on_the_primary},
    entity::{data_key, erasure},
    envelope::SubjectId,
    keys::subjects::{Erased, Registry, erase},
    ledger::{self, Erasure},
    search,
};

/// Subjects that are looked for together.
const TOGETHER: usize = 500;

impl Users {
    /// Forgets a user: destroys the data keys, the row and the access tokens that are for this user alone, and
    /// records the erasure, in one transaction.
    ///
    /// Needs no key backend. Forgetting twice answers the first erasure; should the data be back by then
    /// (a restored backup), it is destroyed again.
    ///
    /// # Errors
    ///
    /// [`UserError::NotFound`], [`UserError::Database`]; then nothing was destroyed.
    pub async fn forget(&self, subject: SubjectId, origin: &Origin) -> Result<Erasure, UserError> {
        let (users, origin) = (self.clone(), origin.clone());
        run_to_completion(
            async move { on_the_primary(&users.db, || users.forget_now(subject, &origin)).await },
        )
        .await
    }

    /// The record of a user's erasure, if they were forgotten.
    ///
    /// # Errors
    ///
    /// [`UserError::LedgerWentBack`], [`UserError::Database`].
    pub async fn erasure(&self, subject: SubjectId) -> Result<Option<Erasure>, UserError> {
        self.require_trusted_ledger()?;
        Ok(ledger::find(&self.db, subject).await?)
    }

    /// Forgets again the users who the ledger says were forgotten and whose data is back: a backup was restored
    /// below a newer ledger. Gives their number. In the ledger, the first erasure stands.
    ///
    /// # Errors
    ///
    /// [`UserError::Database`].
    pub async fn forget_the_returned(&self, origin: &Origin) -> Result<usize, UserError> {
        let returned = returned(&self.db, &self.registry).await?;
        for subject in &returned {
            self.forget(*subject, origin).await?;
        }
        Ok(returned.len())
    }

    /// Forgets again those of these who have data: a ledger outside the database says that they were forgotten, and the database's own does not
    /// yet. Gives their number.
    ///
    /// # Errors
    ///
    /// [`UserError::Database`].
    pub async fn forget_again(&self, subjects: &[SubjectId], origin: &Origin) -> Result<usize, UserError> {
        let mut forgotten = 0;
        for together in subjects.chunks(TOGETHER) {
            for subject in self.registry.present_among(&self.db, together).await? {
                let (users, origin) = (self.clone(), origin.clone());
                run_to_completion(async move {
                    on_the_primary(&users.db, || users.forget_without_entry(subject, &origin)).await
                })
                .await?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    async fn forget_without_entry(&self, subject: SubjectId, origin: &Origin) -> Result<(), UserError> {
        let transaction = begin_write(&self.db).await?;
        let erased = self.destroy(&transaction, subject).await?;
        audit::append(&transaction, [&NewEvent::new(origin, Action::Forget).about(subject)]).await?;
        transaction.commit().await?;
        erased.wipe_traces(&self.keyring).await;
        Ok(())
    }

    async fn destroy(&self, transaction: &WriteTransaction, subject: SubjectId) -> Result<Erased, DbErr> {
        let erased = erase(transaction, &self.registry, subject).await?;
        tokens::remove_of(transaction, subject).await?;
        search::remove_of(transaction, subject).await?;
        Ok(erased)
    }

    async fn forget_now(&self, subject: SubjectId, origin: &Origin) -> Result<Erasure, UserError> {
        let transaction = begin_write(&self.db).await?;
        let erased = self.destroy(&transaction, subject).await?;
        let erasure = match ledger::find(&transaction, subject).await? {
            Some(first) => first,
            None if erased.is_nothing() => {
                // An entry may say otherwise that is not there yet.
                self.require_trusted_ledger()?;
                return Err(UserError::NotFound(subject));
            }
            None => {
                let at_least = self.ledger_at_least();
                ledger::append(&transaction, subject, origin.actor(), &erased.keys, &at_least).await?
            }
        };
        // Where nothing was left to destroy, nothing has happened.
        let anything = !erased.is_nothing();
        if anything {
            audit::append(&transaction, [&NewEvent::new(origin, Action::Forget).about(subject)]).await?;
        }
        transaction.commit().await?;
        erased.wipe_traces(&self.keyring).await;
        if anything && self.announcing {
            ledger::announce(&self.db).await;
        }
        if erased.rows > 0 {
            tracing::info!(%subject, sequence = erasure.sequence, "user forgotten");
        }
        Ok(erasure)
    }
}

/// Subjects that were erased and have data all the same.
async fn returned(db: &impl ConnectionTrait, registry: &Registry) -> Result<Vec<SubjectId>, DbErr> {
    let keys = data_key::Entity::find().select_only().column(data_key::Column::SubjectId).into_query();
    let subjects: Vec<Option<Uuid>> = erasure::Entity::find()
        .select_only()
        .column(erasure::Column::SubjectId)
        .filter(
            Condition::any()
                .add_option(
                    registry.select_subjects().map(|rows| erasure::Column::SubjectId.in_subquery(rows)),
                )
                .add(erasure::Column::SubjectId.in_subquery(keys)),
        )
        .into_tuple()
        .all(db)
        .await?;
    Ok(subjects.into_iter().flatten().map(SubjectId::from).collect())
}
