use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::redirect;
use tokio::sync::Mutex;

use super::key_set::{KeySet, NoKeys};
use crate::{
    access::{AuthError, UnknownScope},
    causes,
    config::JwtConfig,
};

/// Longest wait for the issuer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Largest key set, in bytes.
const MAX_SIZE: usize = 256 * 1024;
/// The issuer is asked for a key that is not known, but not more often than this.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Where an issuer's keys are, and those that were there last. All clones share them.
#[derive(Clone)]
pub(in crate::access) struct KeySource(Arc<Inner>);

struct Inner {
    place: Place,
    refresh: Duration,
    max_age: Duration,
    /// The keys, and when they were read.
    known: RwLock<Option<(Arc<KeySet>, Instant)>>,
    /// When the place was last asked. Locked while it is: one asks, and the others wait for the answer.
    asked: Mutex<Option<Instant>>,
}

enum Place {
    File(PathBuf),
    Url(reqwest::Client, url::Url),
}

impl KeySource {
    /// Reads the keys for the first time.
    ///
    /// # Errors
    ///
    /// [`KeySourceError`] for a file that cannot be used. An issuer that does not answer is no error: it is
    /// asked again.
    pub(super) async fn open(config: &JwtConfig) -> Result<Self, KeySourceError> {
        let place = match (&config.jwks_file, &config.jwks_url) {
            (Some(path), None) => Place::File(path.clone()),
            (None, Some(url)) => {
                // A redirect would make somebody else the issuer.
                let client = reqwest::Client::builder()
                    .timeout(PATIENCE)
                    .redirect(redirect::Policy::none())
                    .build()?;
                Place::Url(client, url.clone())
            }
            _ => return Err(KeySourceError::Place),
        };
        let source = Self(Arc::new(Inner {
            place,
            refresh: config.refresh,
            max_age: config.max_age,
            known: RwLock::default(),
            asked: Mutex::default(),
        }));
        match source.read().await {
            Err(error @ KeySourceError::File { .. }) => return Err(error),
            Err(error) => tracing::error!("the issuer's keys could not be read: {}", causes::line(&error)),
            Ok(()) => {}
        }
        Ok(source)
    }

    /// Reads the keys again every now and then, for as long as the future is polled.
    pub(in crate::access) async fn keep_fresh(&self) {
        loop {
            tokio::time::sleep(self.0.refresh).await;
            if let Err(error) = self.read().await {
                tracing::warn!("the issuer's keys could not be read again: {}", causes::line(&error));
            }
        }
    }

    /// The key to check a signature with.
    ///
    /// # Errors
    ///
    /// [`AuthError::Refused`] if the issuer has no such key; [`AuthError::Unavailable`] if it is not known which
    /// keys it has.
    pub(super) async fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, AuthError> {
        let known = |keys: &KeySet| keys.find(id, algorithm).cloned();
        if let Some(key) = self.known().as_deref().and_then(known) {
            return Ok(key);
        }
        self.ask_again().await;
        let keys = self.known().ok_or(AuthError::Unavailable("the issuer's keys are not known"))?;
        known(&keys).ok_or(AuthError::Refused("the issuer has no key that fits the token"))
    }

    /// The keys, unless they are too old to be believed.
    fn known(&self) -> Option<Arc<KeySet>> {
        let known = self.0.known.read().ok()?;
        known.as_ref().filter(|(_, read)| read.elapsed() < self.0.max_age).map(|(keys, _)| keys.clone())
    }

    async fn ask_again(&self) {
        let mut asked = self.0.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < ASK_AGAIN_AFTER) {
            return;
        }
        *asked = Some(Instant::now());
        if let Err(error) = self.read().await {
            tracing::warn!("the issuer's keys could not be read: {}", causes::line(&error));
        }
    }

    async fn read(&self) -> Result<(), KeySourceError> {
        let keys = self.0.place.read().await?;
        if let Ok(mut known) = self.0.known.write() {
            *known = Some((Arc::new(keys), Instant::now()));
        }
        Ok(())
    }
}

impl Place {
    async fn read(&self) -> Result<KeySet, KeySourceError> {
        match self {
            Self::File(path) => {
                let unusable = |source| KeySourceError::File { path: path.clone(), source };
                let json = tokio::fs::read(path).await.map_err(unusable)?;
                KeySet::parse(&json).map_err(|error| unusable(io::Error::other(error)))
            }
            Self::Url(client, url) => {
                let mut response = client.get(url.clone()).send().await?.error_for_status()?;
                let mut json = Vec::new();
                while let Some(chunk) = response.chunk().await? {
                    if json.len() + chunk.len() > MAX_SIZE {
                        return Err(KeySourceError::Size);
                    }
                    json.extend_from_slice(&chunk);
                }
                Ok(KeySet::parse(&json)?)
            }
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySource").field(&self.known()).finish()
    }
}

/// An issuer's keys cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// It is not said where they are, or said twice.
    #[error("auth.jwt needs one of jwks_url and jwks_file")]
    Place,
    /// The file.
    #[error("auth.jwt.jwks_file `{}` cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The issuer does not answer.
    #[error("auth.jwt.jwks_url does not answer")]
    Http(#[from] reqwest::Error),
    /// The answer is too large.
    #[error("auth.jwt.jwks_url answers more than {MAX_SIZE} bytes")]
    Size,
    /// The answer is something else.
    #[error("auth.jwt.jwks_url answers something else")]
    NoKeys(#[from] NoKeys),
    /// A scope that values of the claim are to mean does not exist.
    #[error("auth.jwt.scopes")]
    Scope(#[from] UnknownScope),
}
