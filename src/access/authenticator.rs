use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use moka::future::Cache;
use sea_orm::DatabaseConnection;
use sha2::{Digest, Sha256};

use super::{
    AuthError, Caller, TokenHash,
    jwt::{Jwt, KeySourceError},
    tokens,
};
use crate::{
    config::{AuthConfig, AuthMode, LimitsConfig},
    entity::access_token,
};

/// How long an answer about a credential stands: a token that is revoked elsewhere ends here within this time.
const MEMORY: Duration = Duration::from_secs(1);
/// Credentials that are remembered, good and bad ones: about 300 bytes each.
const MAX_REMEMBERED: u64 = 50_000;
/// The use of a token is recorded at most this often.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Tells who sends a request. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Authenticator {
    proof: Proof,
    /// By the credential's SHA-256.
    remembered: Cache<[u8; 32], Remembered>,
}

/// An answer about a credential. It stands from when it was asked for: what it says may have been so just then, and never again.
#[derive(Clone, Debug)]
struct Remembered {
    asked: Instant,
    answer: Result<Arc<Caller>, AuthError>,
}

/// How callers prove who they are.
#[derive(Clone, Debug)]
enum Proof {
    Off(Arc<Caller>),
    Tokens { db: DatabaseConnection, subjects_per_minute: Option<u32> },
    Jwt(Jwt),
}

impl Authenticator {
    /// As configured.
    ///
    /// # Errors
    ///
    /// [`KeySourceError`] if the keys of a JWT issuer cannot be read from their file.
    pub async fn open(
        auth: &AuthConfig,
        limits: &LimitsConfig,
        db: &DatabaseConnection,
    ) -> Result<Self, KeySourceError> {
        let subjects_per_minute = Some(limits.subjects_per_minute).filter(|limit| *limit > 0);
        let proof = match (auth.mode, &auth.jwt) {
            (AuthMode::Off, _) => Proof::Off(Arc::new(Caller::anonymous())),
            (AuthMode::Tokens, _) => Proof::Tokens { db: db.clone(), subjects_per_minute },
            (AuthMode::Jwt, Some(jwt)) => Proof::Jwt(Jwt::open(jwt, subjects_per_minute).await?),
            (AuthMode::Jwt, None) => return Err(KeySourceError::Place),
        };
        let remembered = Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(MEMORY).build();
        Ok(Self { proof, remembered })
    }

    /// Who sends a request with this bearer credential.
    ///
    /// # Errors
    ///
    /// [`AuthError::Refused`] if there is none, or it is no good; [`AuthError::Unavailable`] if that cannot be
    /// told.
    pub async fn authenticate(&self, credential: Option<&str>) -> Result<Arc<Caller>, AuthError> {
        if let Proof::Off(anybody) = &self.proof {
            return Ok(anybody.clone());
        }
        let credential = credential.ok_or(AuthError::Refused("no bearer token was sent"))?;
        let key: [u8; 32] = Sha256::digest(credential).into();
        let remembered =
            self.remembered.get(&key).await.filter(|remembered| remembered.asked.elapsed() < MEMORY);
        let caller = if let Some(remembered) = remembered {
            remembered.answer?
        } else {
            let asked = Instant::now();
            let answer = self.check(credential).await.map(Arc::new);
            // What could not be told is asked again at once.
            if !matches!(answer, Err(AuthError::Unavailable(_))) {
                self.remembered.insert(key, Remembered { asked, answer: answer.clone() }).await;
            }
            answer?
        };
        if caller.has_expired(Utc::now()) {
            return Err(AuthError::Refused("the token has expired"));
        }
        Ok(caller)
    }

    /// Whether anybody may do everything.
    #[must_use]
    pub fn is_off(&self) -> bool {
        matches!(self.proof, Proof::Off(_))
    }

    /// Keeps what is needed to check credentials fresh, for as long as the future is polled.
    pub async fn keep_fresh(self) {
        if let Proof::Jwt(jwt) = &self.proof {
            jwt.keys().keep_fresh().await;
        }
    }

    async fn check(&self, credential: &str) -> Result<Caller, AuthError> {
        match &self.proof {
            Proof::Off(anybody) => Ok(Caller::clone(anybody)),
            Proof::Jwt(jwt) => jwt.authenticate(credential).await,
            Proof::Tokens { db, subjects_per_minute } => {
                let hash = TokenHash::of(credential).ok_or(AuthError::Refused("not a token of ours"))?;
                let found = tokens::find(db, hash).await.map_err(|error| {
                    tracing::error!(%error, "the tokens cannot be read");
                    AuthError::Unavailable("the tokens cannot be read")
                })?;
                let row = found.ok_or(AuthError::Refused("there is no such token"))?;
                let now = Utc::now();
                let caller = caller(&row, *subjects_per_minute, now)?;
                if row.last_used_at.is_none_or(|used| now - used > TOUCH_EVERY) {
                    tokio::spawn(touch(db.clone(), row));
                }
                Ok(caller)
            }
        }
    }
}

/// The bearer of the token.
fn caller(
    row: &access_token::Model,
    subjects_per_minute: Option<u32>,
    now: DateTime<Utc>,
) -> Result<Caller, AuthError> {
    if row.revoked_at.is_some() {
        return Err(AuthError::Refused("the token was revoked"));
    }
    // A scope that this release does not know may be there for good reason, and so may its absence here.
    let scopes =
        row.scopes.parse().map_err(|_| AuthError::Refused("the token has a scope that is not known"))?;
    let caller = Caller {
        actor: row.subject_id.map_or_else(|| format!("token:{}", row.name), |id| format!("self:{id}")),
        scopes,
        own: row.subject_id.map(Into::into),
        subjects_per_minute: match row.subjects_per_minute {
            Some(own) => u32::try_from(own).ok().filter(|limit| *limit > 0),
            None => subjects_per_minute,
        },
        expires_at: row.expires_at,
    };
    if caller.has_expired(now) { Err(AuthError::Refused("the token has expired")) } else { Ok(caller) }
}

async fn touch(db: DatabaseConnection, row: access_token::Model) {
    if let Err(error) = tokens::touch(&db, row.id).await {
        tracing::warn!(%error, token = row.name, "the token's use is not recorded");
    }
}
