//! Bringing a ledger forward that went back: entries that are kept elsewhere come in again, with the digests that they had.

use oubliette_ledger::{DestroyedKey, Entry, EntryError, Event, Form};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::{append::row, content::Content, publication, rollbacks, verify::Erasures, version::raise};
use crate::{
    chain::{self, ChainFault, Chained, Head, Row},
    database::{WriteTransaction, now},
    entity::{erasure, moved_erasure},
    envelope::SubjectId,
};

/// Rows that are inserted together.
const TOGETHER: usize = 500;

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Where the ledger ends now.
    pub head: Head,
    /// How many entries had been appended since the ledger went back, and stand behind the others now.
    pub moved: usize,
    /// Whether entries are written in a newer version from now on.
    pub upgraded: bool,
}

/// Entries cannot come in.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// One cannot be read.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// One does not follow the one before.
    #[error("entry {0} does not follow the one before it")]
    Unlinked(i64),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] DbErr),
}

/// The texts of the entries after a place and up to another one, so many at most, if they are what was chained to it.
///
/// # Errors
///
/// The database's error; within, what is wrong with the chain.
pub async fn texts_after(
    db: &impl ConnectionTrait,
    place: &Head,
    end: &Head,
    most: u64,
) -> Result<Result<Vec<String>, ChainFault>, DbErr> {
    let rows = chain::page::<Erasures>(db, Some(place.sequence), end.sequence, most).await?;
    let mut head = place.clone();
    let mut texts = Vec::with_capacity(rows.len());
    for row in &rows {
        let link = row.link();
        head = match link.follow(&head) {
            Ok(head) => head,
            Err(fault) => return Ok(Err(fault)),
        };
        texts.push(link.text());
    }
    Ok(Ok(texts))
}

/// The digest of an entry; of nothing, zeros.
///
/// # Errors
///
/// The database's error.
pub async fn digest_at(db: &impl ConnectionTrait, sequence: i64) -> Result<Option<Vec<u8>>, DbErr> {
    if sequence == 0 {
        return Ok(Some(chain::GENESIS.to_vec()));
    }
    let select = erasure::Entity::find_by_id(sequence).select_only().column(erasure::Column::Digest);
    select.into_tuple().one(db).await
}

/// Whom and what some entries are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Who was forgotten.
    pub subjects: Vec<SubjectId>,
    /// The access tokens that were revoked.
    pub tokens: Vec<Uuid>,
    /// How many rotations of data keys there were.
    pub rotations: usize,
}

/// Whom and what entries are about, according to their texts.
///
/// # Errors
///
/// [`EntryError`].
pub fn told(texts: &[String]) -> Result<Told, EntryError> {
    let mut told = Told::default();
    for text in texts {
        match text.parse::<Entry>()?.event {
            Event::Erasure1(erasure) | Event::Erasure2(erasure) => told.subjects.push(erasure.subject.into()),
            Event::Revocation1 { token } => told.tokens.push(token),
            // A backup from before it has living people under the older key.
            Event::Rotation1 { .. } => told.rotations += 1,
        }
    }
    Ok(told)
}

/// Puts entries behind those up to a place, if the ledger still ends where it was found. Own entries beyond that place get other ones,
/// behind. Rollbacks of which nothing is gone any more need nobody to adopt them. Gives nothing if the ledger ends elsewhere now, or own entries have been
/// signed.
///
/// # Errors
///
/// [`ForwardError`]; then the transaction is to be given up.
pub(crate) async fn bring_forward(
    transaction: &WriteTransaction,
    found: &Head,
    common: &Head,
    texts: &[String],
) -> Result<Option<Forwarded>, ForwardError> {
    if chain::lock::<Erasures>(transaction).await? != *found {
        return Ok(None);
    }
    if *found != *common && publication::signed(transaction).await? > common.sequence {
        return Ok(None);
    }
    let own = erasure::Entity::find()
        .filter(erasure::Column::Sequence.gt(common.sequence))
        .order_by_asc(erasure::Column::Sequence)
        .all(transaction)
        .await?;
    if !own.is_empty() {
        let beyond = erasure::Column::Sequence.gt(common.sequence);
        erasure::Entity::delete_many().filter(beyond).exec(transaction).await?;
    }
    let mut head = common.clone();
    let mut rows = Vec::with_capacity(texts.len());
    for text in texts {
        let row = read(text)?;
        let next = row.link().follow(&head).map_err(|_| ForwardError::Unlinked(head.sequence + 1))?;
        head = next;
        rows.push(row);
    }
    let signed = head.sequence;
    // Who wrote it knew that all servers read it.
    let is_newer = rows.iter().any(|row| row.form != Form::Erasure1.as_str());
    let upgraded = is_newer && raise(transaction).await?;
    for together in rows.chunks(TOGETHER) {
        insert(transaction, together.iter().cloned()).await?;
    }
    let moved = own.len();
    head = append_again(transaction, head, own).await?;
    chain::advance::<Erasures>(transaction, &head).await?;
    publication::set_signed(transaction, signed).await?;
    rollbacks::settle(transaction).await?;
    Ok(Some(Forwarded { head, moved, upgraded }))
}

/// Puts entries behind a head that stood elsewhere, but those of people and tokens whose entry is there already.
async fn append_again(
    transaction: &WriteTransaction,
    from: Head,
    own: Vec<erasure::Model>,
) -> Result<Head, DbErr> {
    let mut fresh = Vec::new();
    for row in &own {
        if let Some(place) = place_of(transaction, row).await? {
            remember(transaction, row, place).await?;
        } else {
            fresh.push(row);
        }
    }
    let chained = Chained::after(&from, fresh.iter().map(|row| Content::from(*row)));
    for (link, old) in chained.links().zip(&fresh) {
        insert(transaction, [row(&link)]).await?;
        remember(transaction, old, link.sequence).await?;
    }
    Ok(chained.head())
}

/// Where the entry is that is about the same person or token.
async fn place_of(db: &impl ConnectionTrait, own: &erasure::Model) -> Result<Option<i64>, DbErr> {
    let same = match (own.subject_id, own.target_id) {
        (Some(subject), _) => erasure::Column::SubjectId.eq(subject),
        (None, Some(token)) => erasure::Column::TargetId.eq(token),
        (None, None) => return Ok(None),
    };
    let of = erasure::Entity::find().filter(same);
    of.select_only().column(erasure::Column::Sequence).into_tuple().one(db).await
}

async fn remember(db: &impl ConnectionTrait, old: &erasure::Model, sequence: i64) -> Result<(), DbErr> {
    let moved = moved_erasure::Model {
        id: Uuid::now_v7(),
        old_sequence: old.sequence,
        old_digest: old.digest.clone(),
        sequence,
        moved_at: now(),
    };
    let row = moved.into_active_model().reset_all();
    moved_erasure::Entity::insert(row).exec_without_returning(db).await.map(drop)
}

async fn insert(
    db: &impl ConnectionTrait,
    rows: impl IntoIterator<Item = erasure::Model> + Send,
) -> Result<(), DbErr> {
    let rows: Vec<_> = rows.into_iter().map(|row| row.into_active_model().reset_all()).collect();
    erasure::Entity::insert_many(rows).exec_without_returning(db).await.map(drop)
}

/// The row of an entry, by its text.
fn read(text: &str) -> Result<erasure::Model, EntryError> {
    let entry: Entry = text.parse()?;
    let form = entry.form();
    let (subject_id, target_id, destroyed_keys) = match &entry.event {
        Event::Erasure1(erasure) | Event::Erasure2(erasure) => {
            (Some(erasure.subject), None, DestroyedKey::list(&erasure.destroyed, form))
        }
        Event::Revocation1 { token } => (None, Some(*token), String::new()),
        Event::Rotation1 { id, rotation } => (None, Some(*id), rotation.to_string()),
    };
    Ok(erasure::Model {
        sequence: i64::try_from(entry.sequence).map_err(|_| EntryError::Line("sequence"))?,
        form: form.as_str().to_owned(),
        subject_id,
        target_id,
        erased_at: entry.at,
        actor: entry.actor.clone(),
        destroyed_keys,
        previous_digest: entry.previous.to_vec(),
        digest: entry.digest().to_vec(),
    })
}

/// Whether an entry is where it stood, or stands elsewhere now.
pub(super) async fn is_kept(db: &impl ConnectionTrait, sequence: i64, digest: &[u8]) -> Result<bool, DbErr> {
    let is_there = digest_at(db, sequence).await?.is_some_and(|there| there == digest);
    Ok(is_there || is_elsewhere(db, digest).await?)
}

/// Whether an entry has another place since the ledger was brought forward.
///
/// # Errors
///
/// The database's error.
pub async fn has_moved(db: &impl ConnectionTrait, place: &Head) -> Result<bool, DbErr> {
    is_elsewhere(db, &place.digest).await
}

async fn is_elsewhere(db: &impl ConnectionTrait, digest: &[u8]) -> Result<bool, DbErr> {
    let moved = moved_erasure::Entity::find().filter(moved_erasure::Column::OldDigest.eq(digest));
    Ok(moved.select_only().expr(Expr::value(1)).into_tuple::<i32>().one(db).await?.is_some())
}
