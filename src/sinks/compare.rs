use sea_orm::DatabaseConnection;

use super::{SinkError, mirror::Mirror};
use crate::{
    chain::Head,
    ledger::{digest_at, publication},
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
    /// It has nothing in common with the sink, and was signed.
    Foreign,
    /// Both have gone on from a common place, and both were signed.
    Forked {
        /// Where both are the same.
        common: Head,
    },
}

/// Compares. `found` is where the database ends. Both are chains: what is the same at a place is the same before it.
pub(super) async fn compare(
    db: &DatabaseConnection,
    mirror: &Mirror,
    found: &Head,
) -> Result<Comparison, SinkError> {
    let newest = mirror.head();
    if newest.sequence <= found.sequence && is_at(db, &newest).await? {
        return Ok(Comparison::Whole);
    }
    if newest.sequence > found.sequence && mirror.digest_at(found.sequence).await? == found.digest {
        return Ok(Comparison::Behind { common: found.clone() });
    }
    let (mut same, mut other) = (0, found.sequence.min(newest.sequence));
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        let place = Head { sequence: middle, digest: mirror.digest_at(middle).await? };
        if is_at(db, &place).await? { same = middle } else { other = middle }
    }
    let common = Head { sequence: same, digest: mirror.digest_at(same).await? };
    Ok(match publication::signed(db).await? {
        signed if signed <= same => Comparison::Behind { common },
        _ if same == 0 => Comparison::Foreign,
        _ => Comparison::Forked { common },
    })
}

/// Whether the database has an entry at its place.
pub(super) async fn is_at(db: &DatabaseConnection, place: &Head) -> Result<bool, SinkError> {
    Ok(digest_at(db, place.sequence).await?.is_some_and(|digest| digest == place.digest))
}
