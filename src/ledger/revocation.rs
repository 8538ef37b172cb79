//! Revoked access tokens: entries, so that a restored backup does not make them good again.

use std::collections::HashSet;

use oubliette_ledger::Form;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{
    append::{append_all, lock},
    content::Content,
    version::EntryVersion,
};
use crate::{
    database::{WriteTransaction, now},
    entity::erasure::{Column, Entity},
};

/// Most tokens of one statement.
const TOGETHER: usize = 500;

/// Appends the record that tokens were revoked, those that have one left out. Holds the ledger's lock until the transaction ends. Writes
/// nothing as long as a server may run that would not read it.
///
/// # Errors
///
/// The database's error.
pub(crate) async fn append_revocations(
    transaction: &WriteTransaction,
    tokens: &[Uuid],
    actor: &str,
) -> Result<(), DbErr> {
    let (mut end, version) = lock(transaction).await?;
    if version < EntryVersion::Two {
        return Ok(());
    }
    for tokens in tokens.chunks(TOGETHER) {
        let recorded: Vec<Uuid> = Entity::find()
            .select_only()
            .column(Column::TargetId)
            .filter(Column::TargetId.is_in(tokens.iter().copied()))
            .into_tuple()
            .all(transaction)
            .await?;
        let recorded: HashSet<_> = recorded.into_iter().collect();
        let content = |token| Content {
            form: Form::Revocation1.as_str(),
            subject_id: None,
            target_id: Some(token),
            at: now(),
            actor,
            destroyed_keys: "",
        };
        let new = tokens.iter().copied().filter(|token| !recorded.contains(token));
        end = append_all(transaction, &end, new.map(content)).await?;
    }
    Ok(())
}
