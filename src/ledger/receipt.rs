use std::collections::BTreeSet;

use oubliette_ledger::{
    Receipt,
    tree::{self, Stored, TreeError},
};
use sea_orm::{ConnectionTrait, DbErr};

use super::{
    NotSigned, Signer, end, find, publication,
    verify::{Erasures, words},
};
use crate::{
    chain::{self, ChainFault, Head, Problem, Row},
    envelope::SubjectId,
};

/// Entries that are read together.
const PAGE: u64 = 1000;

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum NoReceipt {
    /// The ledger is not what it was: nothing is signed of it.
    #[error("nothing is signed: {}; see `oubliette-admin ledger verify`", .0.text(words()))]
    Damaged(ChainFault),
    /// The tree could not be computed.
    #[error("the tree over the ledger could not be computed")]
    Tree(#[from] TreeError),
    /// It could not be signed.
    #[error(transparent)]
    Signer(#[from] NotSigned),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] DbErr),
}

/// The receipt of a subject's erasure, for strangers, if there was one: signed over the ledger as it is now, which is read and checked from its
/// beginning.
///
/// # Errors
///
/// [`NoReceipt`].
pub async fn receipt(
    db: &impl ConnectionTrait,
    subject: SubjectId,
    signer: &Signer,
) -> Result<Option<Receipt>, NoReceipt> {
    let Some(erasure) = find(db, subject).await? else { return Ok(None) };
    let head = end(db).await?;
    let (index, size) = (place(erasure.sequence).saturating_sub(1), place(head.sequence));
    let mut needed = missing(tree::prove_inclusion(index, size, &Stored::new()));
    needed.extend(missing(tree::root(size, &Stored::new())));
    let walk = Walk { needed, wanted: erasure.sequence, entry: String::new(), stored: Stored::new() };
    let Walk { entry, stored, .. } = walk.to(db, &head).await?;
    let proof = tree::prove_inclusion(index, size, &stored)?;
    let root = tree::root(size, &stored)?;
    // Before anybody has it: what was signed is never moved.
    publication::set_signed(db, head.sequence).await?;
    let checkpoint = signer.sign(size, root).await?;
    Ok(Some(Receipt { entry, index, proof, checkpoint }))
}

/// Over the whole ledger. Keeps the hashes that are needed.
struct Walk {
    needed: BTreeSet<u64>,
    wanted: i64,
    entry: String,
    stored: Stored,
}

impl Walk {
    async fn to(mut self, db: &impl ConnectionTrait, head: &Head) -> Result<Self, NoReceipt> {
        let mut last = Head::genesis();
        while last.sequence < head.sequence {
            let rows = chain::page::<Erasures>(db, Some(last.sequence), head.sequence, PAGE).await?;
            if rows.is_empty() {
                return Err(NoReceipt::Damaged(Problem::Missing.at(last.sequence + 1)));
            }
            for row in &rows {
                let link = row.link();
                let before = place(last.sequence);
                last = link.follow(&last).map_err(NoReceipt::Damaged)?;
                let text = link.text();
                let hashes = tree::append(before, &text, &self.stored)?;
                self.stored.extend((tree::first_stored(before)..).zip(hashes));
                if last.sequence == self.wanted {
                    self.entry = text;
                }
            }
            let edge = missing(tree::root(place(last.sequence), &Stored::new()));
            self.stored.retain(|place, _| self.needed.contains(place) || edge.contains(place));
        }
        if last.digest != head.digest {
            return Err(NoReceipt::Damaged(Problem::NotTheHead.at(last.sequence)));
        }
        match chain::beyond::<Erasures>(db).await? {
            Some(fault) => Err(NoReceipt::Damaged(fault)),
            None => Ok(self),
        }
    }
}

/// The places of hashes without which something cannot be computed.
fn missing<T>(computed: Result<T, TreeError>) -> BTreeSet<u64> {
    match computed {
        Err(TreeError::Missing(places)) => places,
        _ => BTreeSet::new(),
    }
}

/// A sequence, which is never negative in a ledger that is sound.
fn place(sequence: i64) -> u64 {
    sequence.try_into().unwrap_or_default()
}
