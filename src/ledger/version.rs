//! In which version entries are written.
//!
//! A server of a release that does not read an entry takes it for tampering, and answers nothing personal any more. So a ledger stays in the
//! version of its beginning until an operator says that no such server is left; or until entries are brought in for which one has said so.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, sea_query::Expr,
};

use super::verify::Erasures;
use crate::{
    audit::{self, Action, NewEvent, Origin},
    chain::{self, HEAD_ID},
    database::{WriteTransaction, begin_write, on_the_primary},
    entity::erasure_head::{Column, Entity, Model},
};

/// The versions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryVersion {
    /// Erasures without key commitments.
    One,
    /// Erasures with key commitments; revocations of tokens; rotations of data keys.
    Two,
}

impl EntryVersion {
    /// The newest.
    pub const NEWEST: Self = Self::Two;

    /// As a number, from 1.
    #[must_use]
    pub fn number(self) -> i16 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

/// What a later release may write, this one does not.
impl From<&Model> for EntryVersion {
    fn from(row: &Model) -> Self {
        if row.entry_version >= Self::Two.number() { Self::Two } else { Self::One }
    }
}

/// In which version entries are written.
///
/// # Errors
///
/// The database's error.
pub async fn version(db: &impl ConnectionTrait) -> Result<EntryVersion, DbErr> {
    let row = Entity::find_by_id(HEAD_ID).one(db).await?;
    Ok(row.as_ref().map_or(EntryVersion::One, EntryVersion::from))
}

/// From now on, entries are written in the newest version: no server runs that does not read it. Whether that is new. Leaves an event in the audit
/// trail.
///
/// # Errors
///
/// The database's error; then nothing has changed.
pub async fn upgrade(db: &DatabaseConnection, origin: &Origin) -> Result<bool, DbErr> {
    on_the_primary(db, || async {
        let transaction = begin_write(db).await?;
        chain::lock::<Erasures>(&transaction).await?;
        let is_new = raise(&transaction).await?;
        if is_new {
            audit::append(&transaction, [&NewEvent::new(origin, Action::LedgerUpgrade)]).await?;
        }
        transaction.commit().await?;
        Ok(is_new)
    })
    .await
}

/// The same within a transaction that holds the ledger's lock.
pub(super) async fn raise(transaction: &WriteTransaction) -> Result<bool, DbErr> {
    let newest = EntryVersion::NEWEST.number();
    let raised = Entity::update_many()
        .col_expr(Column::EntryVersion, Expr::value(newest))
        .filter(Column::Id.eq(HEAD_ID))
        .filter(Column::EntryVersion.lt(newest))
        .exec(transaction)
        .await?;
    Ok(raised.rows_affected > 0)
}
