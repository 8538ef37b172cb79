//! The table `wrapping_keys`: whether anything may still be wrapped under a wrapping key.
//!
//! What a process remembers of a wrapping key may open data keys. Whether it may wrap is decided here, in the transaction
//! that stores what was wrapped: a key file that is not seen any more, or a data key that was made before its transaction
//! had to wait, would otherwise bring a data key under a wrapping key that is about to be destroyed.
//!
//! Locks are taken in one order: the subject's rows in `data_keys`, the erasure ledger's head, the audit trail's head, the wrapping key's
//! row. So it comes last, also where some of the others are not needed.

use std::fmt;

use sea_orm::{
    ActiveModelTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, QueryOrder, QuerySelect, Set,
    sea_query::OnConflict,
};

use super::{Journal, KekId};
use crate::{
    database::{MayBeDatabases, WriteTransaction, begin_write, now, on_the_primary},
    entity::wrapping_key::{Column, Entity, Model},
};

/// What may be done with a wrapping key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KekState {
    /// Data keys are wrapped under it, and opened.
    Active,
    /// Data keys under it are opened, and none is added.
    Retiring,
    /// No data key was under it any more, and none is added.
    Retired,
}

impl KekState {
    /// As the table has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }

    fn parse(column: &str) -> Result<Self, DbErr> {
        [Self::Active, Self::Retiring, Self::Retired]
            .into_iter()
            .find(|state| state.as_str() == column)
            .ok_or_else(|| DbErr::Type(format!("wrapping_keys.state is `{column}`")))
    }
}

impl fmt::Display for KekState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A wrapping key that nothing new may be under.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wrapping key `{kek_id}` is {state}: nothing new is wrapped under it")]
pub struct Inactive {
    /// Which.
    pub kek_id: KekId,
    /// Why not.
    pub state: KekState,
}

/// Why what was wrapped under a wrapping key may not be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotStored {
    /// The wrapping key is being retired, or was.
    #[error(transparent)]
    Inactive(#[from] Inactive),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl MayBeDatabases for NotStored {
    fn database_error(&self) -> Option<&DbErr> {
        match self {
            Self::Inactive(_) => None,
            Self::Database(error) => Some(error),
        }
    }
}

/// Locks a wrapping key's row until the transaction ends, and refuses one that is not active. A wrapping key that was
/// never used is added. Comes last in a transaction, right before it is committed.
///
/// # Errors
///
/// [`NotStored`]; then the transaction must not be committed.
pub async fn require_active(
    transaction: &WriteTransaction,
    kek_id: &KekId,
    backend: &str,
) -> Result<(), NotStored> {
    let find = || Entity::find_by_id(kek_id.as_str()).lock_shared().one(transaction);
    let row = if let Some(row) = find().await? {
        row
    } else {
        add(transaction, kek_id, Some(backend)).await?;
        find().await?.ok_or(DbErr::RecordNotInserted)?
    };
    match KekState::parse(&row.state)? {
        KekState::Active => Ok(()),
        state => Err(Inactive { kek_id: kek_id.clone(), state }.into()),
    }
}

/// The state of a wrapping key; `None` if nothing was ever under it.
///
/// # Errors
///
/// The database's error.
pub async fn state(db: &DatabaseConnection, kek_id: &KekId) -> Result<Option<KekState>, DbErr> {
    let row = Entity::find_by_id(kek_id.as_str()).one(db).await?;
    row.map(|row| KekState::parse(&row.state)).transpose()
}

/// All wrapping keys that were ever used, in the order of their ids.
///
/// # Errors
///
/// The database's error.
pub async fn all(db: &DatabaseConnection) -> Result<Vec<(KekId, KekState)>, DbErr> {
    let rows = Entity::find().order_by_asc(Column::KekId).all(db).await?;
    rows.into_iter().map(|row| Ok((KekId::new(row.kek_id), KekState::parse(&row.state)?))).collect()
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Nothing new comes under the wrapping key any more. Once this is stored, a transaction that was about to store a data key under it
    /// either has stored it or will not.
    BeginRetirement,
    /// A retirement has begun, and no data key was found under it. One that was made active again meanwhile stays so.
    EndRetirement,
    /// Data keys may come under it again, whatever was done before.
    UndoRetirement,
    /// Data keys may come under it again, unless it is retired.
    Activate,
}

impl Transition {
    /// The state after it; `None` if it does not apply.
    fn apply(self, state: KekState) -> Option<KekState> {
        match (self, state) {
            (Self::BeginRetirement, KekState::Active) => Some(KekState::Retiring),
            (Self::EndRetirement, KekState::Retiring) => Some(KekState::Retired),
            (Self::UndoRetirement, KekState::Retiring | KekState::Retired)
            | (Self::Activate, KekState::Retiring) => Some(KekState::Active),
            _ => None,
        }
    }
}

/// Changes the state of a wrapping key, and records it in the journal. Whether there was anything to change.
///
/// # Errors
///
/// The database's error.
pub async fn change(
    db: &DatabaseConnection,
    kek_id: &KekId,
    transition: Transition,
    journal: &dyn Journal,
) -> Result<bool, DbErr> {
    // Boxed: rare, and large.
    on_the_primary(db, || Box::pin(try_change(db, kek_id, transition, journal))).await
}

/// Makes a wrapping key active that is to be used from now on, unless it is retired.
///
/// # Errors
///
/// [`NotStored`].
pub async fn activate(
    db: &DatabaseConnection,
    kek_id: &KekId,
    journal: &dyn Journal,
) -> Result<(), NotStored> {
    if state(db, kek_id).await? == Some(KekState::Retiring) {
        change(db, kek_id, Transition::Activate, journal).await?;
    }
    match state(db, kek_id).await? {
        None | Some(KekState::Active) => Ok(()),
        Some(state) => Err(Inactive { kek_id: kek_id.clone(), state }.into()),
    }
}

/// The journal comes first, as with everything that stores a data key: so this waits in one queue with them, and a steady
/// stream of them does not keep the row from being locked.
async fn try_change(
    db: &DatabaseConnection,
    kek_id: &KekId,
    transition: Transition,
    journal: &dyn Journal,
) -> Result<bool, DbErr> {
    let transaction = begin_write(db).await?;
    journal.changes_state(&transaction, kek_id, transition).await?;
    add(&transaction, kek_id, None).await?;
    let row = Entity::find_by_id(kek_id.as_str()).lock_exclusive().one(&transaction).await?;
    let row = row.ok_or(DbErr::RecordNotInserted)?;
    let Some(state) = transition.apply(KekState::parse(&row.state)?) else {
        transaction.rollback().await?;
        return Ok(false);
    };
    let now = now();
    let mut row = row.into_active_model();
    row.state = Set(state.as_str().to_owned());
    match state {
        KekState::Active => (row.retiring_at, row.retired_at) = (Set(None), Set(None)),
        KekState::Retiring => row.retiring_at = Set(Some(now)),
        KekState::Retired => row.retired_at = Set(Some(now)),
    }
    row.update(&transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Adds a wrapping key that nothing was under, as an active one. Another may have added it just now.
async fn add(transaction: &WriteTransaction, kek_id: &KekId, backend: Option<&str>) -> Result<(), DbErr> {
    let row = Model {
        kek_id: kek_id.as_str().to_owned(),
        backend: backend.map(str::to_owned),
        state: KekState::Active.as_str().to_owned(),
        first_used_at: now(),
        retiring_at: None,
        retired_at: None,
    };
    let insert = Entity::insert(row.into_active_model().reset_all());
    let insert = insert.on_conflict(OnConflict::column(Column::KekId).do_nothing().to_owned());
    insert.exec_without_returning(transaction).await.map(drop)
}
