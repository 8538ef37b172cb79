use sea_orm::{ConnectionTrait, DbErr, NotSet, Set, Unchanged};

use super::content::Content;
use crate::{
    chain::{self, Entry, HEAD_ID, Head, Link, Row, Table, Verification, Words},
    entity::{erasure, erasure_head},
};

/// The chain of all erasures.
pub(super) struct Erasures;

/// The ledger's head, as the database has it now; `None` if somebody has removed it.
///
/// # Errors
///
/// The database's error.
pub async fn head(db: &impl ConnectionTrait) -> Result<Option<Head>, DbErr> {
    chain::head::<Erasures>(db).await
}

/// The same, where there must be one.
///
/// # Errors
///
/// The database's error; [`DbErr::RecordNotFound`] if somebody has removed it.
pub async fn end(db: &impl ConnectionTrait) -> Result<Head, DbErr> {
    chain::require_head::<Erasures>(db).await
}

/// Walks the whole ledger: see [`Verification`]. `kept` is a head that was kept elsewhere; each receipt is one.
///
/// # Errors
///
/// The database's error.
pub async fn verify(db: &impl ConnectionTrait, kept: Option<&Head>) -> Result<Verification, DbErr> {
    chain::verify::<Erasures>(db, kept).await
}

/// What people call the ledger and its entries.
#[must_use]
pub fn words() -> &'static Words {
    Erasures::WORDS
}

impl Table for Erasures {
    const WORDS: &'static Words =
        &Words { name: "the erasure ledger", chain: "ledger", entry: "entry", entries: "entries", index: "" };
    const SEQUENCE: erasure::Column = erasure::Column::Sequence;
    type Row = erasure::Model;
    type Entries = erasure::Entity;
    type Heads = erasure_head::Entity;

    fn head_row(head: &Head) -> erasure_head::ActiveModel {
        erasure_head::ActiveModel {
            id: Unchanged(HEAD_ID),
            sequence: Set(head.sequence),
            digest: Set(head.digest.clone()),
            entry_version: NotSet,
        }
    }
}

impl Row for erasure::Model {
    fn link(&self) -> Link<'_, impl Entry> {
        Link {
            sequence: self.sequence,
            previous_digest: &self.previous_digest,
            digest: &self.digest,
            entry: Content::from(self),
        }
    }
}

impl From<erasure_head::Model> for Head {
    fn from(row: erasure_head::Model) -> Self {
        Self { sequence: row.sequence, digest: row.digest }
    }
}
