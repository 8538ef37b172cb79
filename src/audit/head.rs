use std::{fmt, str::FromStr};

use sea_orm::{ConnectionTrait, DbErr, EntityTrait};

use crate::entity::audit_head;

/// The only row.
pub(super) const ID: i16 = 1;

/// The newest event of the trail, by number and digest. Kept elsewhere, it fixes everything up to there.
///
/// As text, `SEQUENCE:DIGEST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The event's place: 0 if there is none yet.
    pub sequence: i64,
    /// Its digest.
    pub digest: Vec<u8>,
}

/// The head, as the database has it now; `None` if somebody has removed it.
///
/// # Errors
///
/// The database's error.
pub async fn head(db: &impl ConnectionTrait) -> Result<Option<Head>, DbErr> {
    Ok(audit_head::Entity::find_by_id(ID).one(db).await?.map(Head::from))
}

impl From<audit_head::Model> for Head {
    fn from(row: audit_head::Model) -> Self {
        Self { sequence: row.sequence, digest: row.digest }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, hex::encode(&self.digest))
    }
}

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (sequence, digest) = text.trim().split_once(':').ok_or(NotAHead)?;
        let sequence = sequence.parse().map_err(|_| NotAHead)?;
        let digest: [u8; 32] =
            hex::decode(digest).ok().and_then(|digest| digest.try_into().ok()).ok_or(NotAHead)?;
        if sequence < 0 { Err(NotAHead) } else { Ok(Self { sequence, digest: digest.to_vec() }) }
    }
}

/// A text is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not SEQUENCE:DIGEST, as `oubliette-admin audit head` prints it")]
pub struct NotAHead;
