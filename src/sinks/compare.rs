use sea_orm::DatabaseConnection;

use super::{SinkError, mirror::Mirror};
use crate::{
    chain::Head,
    ledger::{self, publication},
};

/// Where the database stands, seen from a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// It has all that the sink has, and maybe more.
    Whole,
    /// It lacks entries: it went back, or is new. Own entries after the common ones were never signed.
    Behind {
        /// Where both are the same.
        common: Head,
    },
    /// It has nothing in common with the sink.
    Foreign,
    /// Both have gone on from a common place, and both were signed.
    Forked {
        /// Where both are the same.
        common: Head,
    },
}

/// Compares. Gives the database's head, too, as it was then. Both are chains: what is the same at a place is the same before it.
pub(super) async fn compare(
    db: &DatabaseConnection,
    mirror: &mut Mirror,
) -> Result<(Head, Comparison), SinkError> {
    let found = ledger::end(db).await?;
    let newest = mirror.head();
    if newest.sequence <= found.sequence && is_at(db, &newest).await? {
        return Ok((found, Comparison::Whole));
    }
    // What is read now is read from tiles.
    if !mirror.is_laid() {
        mirror.lay().await?;
    }
    if newest.sequence > found.sequence && mirror.digest_at(found.sequence).await? == found.digest {
        return Ok((found.clone(), Comparison::Behind { common: found }));
    }
    let (mut same, mut other) = (0, found.sequence.min(newest.sequence));
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        let place = Head { sequence: middle, digest: mirror.digest_at(middle).await? };
        if is_at(db, &place).await? { same = middle } else { other = middle }
    }
    let common = Head { sequence: same, digest: mirror.digest_at(same).await? };
    let comparison = if same == 0 {
        Comparison::Foreign
    } else if publication::signed(db).await? > same {
        Comparison::Forked { common }
    } else {
        Comparison::Behind { common }
    };
    Ok((found, comparison))
}

/// Whether the database has an entry at its place.
async fn is_at(db: &DatabaseConnection, place: &Head) -> Result<bool, SinkError> {
    Ok(ledger::digest_at(db, place.sequence).await?.is_some_and(|digest| digest == place.digest))
}
