//! The table `key_claims`: which data keys a run processes at the moment.
//!
//! A claim only saves work. What is stored is right without it, since it is stored by compare-and-swap, or
//! under the subject's lock.

use std::collections::HashSet;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbBackend, DbErr,
    EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Select, Statement,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use super::{Task, is_alive};
use crate::{
    WrappedKey,
    database::{WriteTransaction, begin_write, read_clock},
    entity::{data_key, key_claim, key_claim_turn, key_operation},
    envelope::DataKeyId,
    store,
};

/// The only row of `key_claim_turn`.
const TURN: i16 = 1;

/// Some data keys that are processed together.
#[derive(Debug)]
pub(super) struct Batch {
    /// The claim that makes them one run's for the moment, if it has one.
    pub(super) claim: Option<Uuid>,
    pub(super) keys: Vec<(DataKeyId, WrappedKey)>,
}

/// Claims up to `size` data keys of those that remain and that nobody else has claimed, in the order of
/// their ids, beginning after `after`. `None` if there are none.
pub(super) async fn claim(
    db: &DatabaseConnection,
    operation: Uuid,
    task: &dyn Task,
    after: Option<DataKeyId>,
    size: u64,
) -> Result<Option<Batch>, DbErr> {
    let transaction = begin_write(db).await?;
    // One claim after the other: two at once would find the same keys.
    key_claim_turn::Entity::find_by_id(TURN).lock_exclusive().one(&transaction).await?;
    let remaining = match task.remaining_in_order() {
        Some(remaining) => {
            read_in_order(&transaction).await?;
            remaining
        }
        None => task.remaining(),
    };
    let mut select = select_after(remaining, after, size);
    for claim in live(&transaction).await?.0 {
        let range = data_key::Column::SubjectId.between(claim.first_subject_id, claim.last_subject_id);
        select = select.filter(range.not());
    }
    let rows = select.all(&transaction).await?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(None) };
    let row = key_claim::Model {
        id: Uuid::now_v7(),
        operation_id: operation,
        first_subject_id: first.subject_id,
        last_subject_id: last.subject_id,
    };
    let id = row.id;
    let insert = key_claim::Entity::insert(row.into_active_model().reset_all());
    insert.exec_without_returning(&transaction).await?;
    transaction.commit().await?;
    let keys = rows.into_iter().map(store::parse).collect::<Result<_, _>>()?;
    Ok(Some(Batch { claim: Some(id), keys }))
}

/// Reads up to `size` data keys of those that remain, of subjects after the last one, and claims nothing. `None` if there are none.
pub(super) async fn read(
    db: &DatabaseConnection,
    task: &dyn Task,
    after: Option<DataKeyId>,
    size: u64,
) -> Result<Option<Batch>, DbErr> {
    let mut select = data_key::Entity::find().filter(task.remaining());
    if let Some(after) = after {
        // A rotation may have replaced the last data key by one of a later version: nobody comes twice.
        select = select.filter(data_key::Column::SubjectId.gt(*after.subject.as_uuid()));
    }
    let select = select.order_by_asc(data_key::Column::SubjectId).order_by_asc(data_key::Column::Version);
    let rows = select.limit(size).all(db).await?;
    let keys: Vec<_> = rows.into_iter().map(store::parse).collect::<Result<_, _>>()?;
    Ok((!keys.is_empty()).then_some(Batch { claim: None, keys }))
}

fn select_after(remaining: Condition, after: Option<DataKeyId>, size: u64) -> Select<data_key::Entity> {
    let mut select = data_key::Entity::find().filter(remaining);
    if let Some(after) = after {
        let subject = *after.subject.as_uuid();
        // The first condition is for the index on (kek_id, subject_id), which does not have the version.
        select = select.filter(data_key::Column::SubjectId.gte(subject)).filter(
            Expr::tuple([Expr::col(data_key::Column::SubjectId), Expr::col(data_key::Column::Version)])
                .gt(Expr::tuple([Expr::value(subject), Expr::value(after.version.get())])),
        );
    }
    select.order_by_asc(data_key::Column::SubjectId).order_by_asc(data_key::Column::Version).limit(size)
}

/// Has PostgreSQL read data keys in the order of their ids until there are enough, in this transaction. What it would take for all that remain, it does not
/// compile for one page.
async fn read_in_order(transaction: &WriteTransaction) -> Result<(), DbErr> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        let off = |setting: &str| format!("set_config('{setting}', 'off', true)");
        let settings = ["enable_sort", "enable_bitmapscan", "jit"].map(off).join(", ");
        let statement = Statement::from_string(DbBackend::Postgres, format!("SELECT {settings}"));
        transaction.query_one_raw(statement).await?;
    }
    Ok(())
}

/// Gives a claim up.
pub(super) async fn release(db: &DatabaseConnection, claim: Uuid) -> Result<(), DbErr> {
    let transaction = begin_write(db).await?;
    key_claim::Entity::delete_by_id(claim).exec(&transaction).await?;
    transaction.commit().await
}

/// The other runs that have claimed data keys.
pub(super) async fn others(
    db: &DatabaseConnection,
    operation: Uuid,
) -> Result<Vec<key_operation::Model>, DbErr> {
    let transaction = begin_write(db).await?;
    let (_, mut alive) = live(&transaction).await?;
    transaction.commit().await?;
    alive.retain(|other| other.id != operation);
    Ok(alive)
}

/// The claims of runs that live, and these runs. Claims of the dead are deleted.
async fn live(
    transaction: &WriteTransaction,
) -> Result<(Vec<key_claim::Model>, Vec<key_operation::Model>), DbErr> {
    let claims = key_claim::Entity::find().all(transaction).await?;
    let operations: HashSet<_> = claims.iter().map(|claim| claim.operation_id).collect();
    if operations.is_empty() {
        return Ok((claims, Vec::new()));
    }
    let now = read_clock(transaction).await?;
    let mut operations = key_operation::Entity::find()
        .filter(key_operation::Column::Id.is_in(operations))
        .all(transaction)
        .await?;
    operations.retain(|operation| is_alive(operation, now));
    let alive: HashSet<_> = operations.iter().map(|operation| operation.id).collect();
    let (live, dead): (Vec<_>, Vec<_>) =
        claims.into_iter().partition(|claim| alive.contains(&claim.operation_id));
    if !dead.is_empty() {
        let dead = dead.into_iter().map(|claim| claim.id);
        key_claim::Entity::delete_many().filter(key_claim::Column::Id.is_in(dead)).exec(transaction).await?;
    }
    Ok((live, operations))
}
