use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PrimaryKeyTrait,
    QueryFilter, QueryOrder, QuerySelect,
};

use super::{Entry, Head, Link, Words};
use crate::database::WriteTransaction;

/// The head's only row.
pub(crate) const HEAD_ID: i16 = 1;

/// Where a chain is stored: a table of entries, and one whose only row is the head.
pub(crate) trait Table {
    /// What people call it.
    const WORDS: &'static Words;
    /// The place of an entry.
    const SEQUENCE: <Self::Entries as EntityTrait>::Column;
    /// A stored entry.
    type Row: Row + Send + Sync;
    /// The entries.
    type Entries: EntityTrait<Model = Self::Row>;
    /// The head.
    type Heads: EntityTrait<
            Model: Into<Head> + IntoActiveModel<<Self::Heads as EntityTrait>::ActiveModel>,
            ActiveModel: Send,
            PrimaryKey: PrimaryKeyTrait<ValueType = i16>,
        >;

    /// The head's row, changed.
    fn head_row(head: &Head) -> <Self::Heads as EntityTrait>::ActiveModel;

    /// The first entry of a page that a table beside the chain does not lead to as it should, or a place without an entry that it leads
    /// to. The page is sound in itself, holds at least one entry, and all that are stored after `after` up to its last.
    async fn misindexed(
        _db: &impl ConnectionTrait,
        _after: Option<i64>,
        _page: &[Self::Row],
    ) -> Result<Option<i64>, DbErr> {
        Ok(None)
    }
}

/// A stored entry.
pub(crate) trait Row {
    /// At the place that it claims.
    fn link(&self) -> Link<'_, impl Entry>;
}

/// The head, as the database has it now; `None` if somebody has removed it.
///
/// # Errors
///
/// The database's error.
pub(crate) async fn head<T: Table>(db: &impl ConnectionTrait) -> Result<Option<Head>, DbErr> {
    Ok(T::Heads::find_by_id(HEAD_ID).one(db).await?.map(Into::into))
}

/// The same, where there must be one.
///
/// # Errors
///
/// The database's error; [`DbErr::RecordNotFound`] if somebody has removed it.
pub(crate) async fn require_head<T: Table>(db: &impl ConnectionTrait) -> Result<Head, DbErr> {
    head::<T>(db).await?.ok_or_else(headless::<T>)
}

/// The same, locked until the transaction ends: nobody else appends meanwhile.
///
/// # Errors
///
/// The same.
pub(crate) async fn lock<T: Table>(transaction: &WriteTransaction) -> Result<Head, DbErr> {
    lock_row::<T>(transaction).await.map(Into::into)
}

/// The same with all that its row says.
///
/// # Errors
///
/// The same.
pub(crate) async fn lock_row<T: Table>(
    transaction: &WriteTransaction,
) -> Result<<T::Heads as EntityTrait>::Model, DbErr> {
    let row = T::Heads::find_by_id(HEAD_ID).lock_exclusive().one(transaction).await?;
    row.ok_or_else(headless::<T>)
}

/// Moves the head, which is locked.
///
/// # Errors
///
/// The database's error.
pub(crate) async fn advance<T: Table>(transaction: &WriteTransaction, to: &Head) -> Result<(), DbErr> {
    T::head_row(to).update(transaction).await.map(drop)
}

/// The first entries of some places, the oldest first: after `after`, and up to `up_to`. At most `size`.
///
/// # Errors
///
/// The database's error.
pub(crate) async fn page<T: Table>(
    db: &impl ConnectionTrait,
    after: Option<i64>,
    up_to: i64,
    size: u64,
) -> Result<Vec<T::Row>, DbErr> {
    let mut select = T::Entries::find().filter(T::SEQUENCE.lte(up_to));
    if let Some(after) = after {
        select = select.filter(T::SEQUENCE.gt(after));
    }
    select.order_by_asc(T::SEQUENCE).limit(size).all(db).await
}

/// The newest entry.
pub(super) async fn newest<T: Table>(db: &impl ConnectionTrait) -> Result<Option<T::Row>, DbErr> {
    T::Entries::find().order_by_desc(T::SEQUENCE).one(db).await
}

fn headless<T: Table>() -> DbErr {
    DbErr::RecordNotFound(format!("{} has no head", T::WORDS.name))
}
