use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::redirect;
use tokio::{fs::File, io::AsyncReadExt, sync::Mutex};

use super::key_set::{KeySet, NoKeys};
use crate::{
    access::{AuthError, UnknownScope},
    causes,
    config::JwtConfig,
};

/// Longest wait for the issuer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Largest key set, in KiB.
const MAX_KIB: usize = 256;
const MAX_SIZE: usize = MAX_KIB * 1024;
/// Most keys of one set that one token is checked with.
const MAX_CHECKS: usize = 16;
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
                let client =
                    reqwest::Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none()).build()?;
                Place::Url(client, url.expose().clone())
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

    /// What `check` says of a token, with the key that signed it. It says [`Checked::Other`] of the other keys.
    ///
    /// The issuer is asked for its keys again if it may have a new one: the key that the token names is not known, or
    /// the token names none, and no known key signed it. So one token costs at most twice 16 checks.
    ///
    /// # Errors
    ///
    /// What `check` says; [`AuthError::Refused`] if the issuer has no such key; [`AuthError::Unavailable`] if it is
    /// not known which keys it has.
    pub(super) async fn check<T>(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        check: impl Fn(&DecodingKey) -> Checked<T>,
    ) -> Result<T, AuthError> {
        let before = self.known();
        let first = before.as_ref().map(|keys| try_each(keys, id, algorithm, &check));
        match first {
            Some(Ok(result)) => return result,
            Some(Err(NoKey::NotSigned)) if id.is_some() => return Err(NoKey::NotSigned.into()),
            _ => {}
        }
        self.ask_again().await;
        let keys = self.known().ok_or(AuthError::Unavailable("the issuer's keys are not known"))?;
        match first {
            Some(Err(reason)) if before.is_some_and(|before| Arc::ptr_eq(&before, &keys)) => {
                Err(reason.into())
            }
            _ => try_each(&keys, id, algorithm, &check)?,
        }
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
        // To its end, also if the request that made us ask does not wait for it.
        let this = self.clone();
        if let Ok(Err(error)) = tokio::spawn(async move { this.read().await }).await {
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

/// What a key says of a token.
pub(super) enum Checked<T> {
    /// It signed the token, and this is what comes of it.
    Signed(Result<T, AuthError>),
    /// Another key signed it, or none.
    Other,
}

/// Why no key says anything of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoKey {
    Fits,
    NotSigned,
    TooMany,
}

impl From<NoKey> for AuthError {
    fn from(reason: NoKey) -> Self {
        Self::Refused(match reason {
            NoKey::Fits => "the issuer has no key that fits the token",
            NoKey::NotSigned => "the signature does not fit",
            NoKey::TooMany => {
                "none of the first 16 keys that fit the token signed it, and no more are tried: it should name its key (kid)"
            }
        })
    }
}

/// Strangers may send tokens: each costs a bounded number of checks, however many keys the issuer has.
fn try_each<T>(
    keys: &KeySet,
    id: Option<&str>,
    algorithm: Algorithm,
    check: impl Fn(&DecodingKey) -> Checked<T>,
) -> Result<Result<T, AuthError>, NoKey> {
    let mut fitting = keys.fitting(id, algorithm).peekable();
    if fitting.peek().is_none() {
        return Err(NoKey::Fits);
    }
    for key in fitting.by_ref().take(MAX_CHECKS) {
        if let Checked::Signed(result) = check(key) {
            return Ok(result);
        }
    }
    Err(if fitting.peek().is_some() { NoKey::TooMany } else { NoKey::NotSigned })
}

impl Place {
    async fn read(&self) -> Result<KeySet, KeySourceError> {
        match self {
            Self::File(path) => {
                let unusable = |source| KeySourceError::File { path: path.clone(), source };
                let file = File::open(path).await.map_err(unusable)?;
                let mut json = Vec::new();
                file.take(MAX_SIZE as u64 + 1).read_to_end(&mut json).await.map_err(unusable)?;
                if json.len() > MAX_SIZE {
                    return Err(unusable(io::Error::other(TooLarge)));
                }
                KeySet::parse(&json).map_err(|error| unusable(io::Error::other(error)))
            }
            Self::Url(client, url) => {
                let mut response = client.get(url.clone()).send().await?.error_for_status()?;
                let mut json = Vec::new();
                while let Some(chunk) = response.chunk().await? {
                    if json.len() + chunk.len() > MAX_SIZE {
                        return Err(KeySourceError::Size(TooLarge));
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

impl From<reqwest::Error> for KeySourceError {
    /// The library's text quotes the URL, which may hold a password.
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

/// More than is read of a key set.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("is larger than {MAX_KIB} KiB")]
pub struct TooLarge;

/// An issuer's keys cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// It is not said where they are, or said twice.
    #[error("auth.jwt needs one of jwks_url and jwks_file")]
    Place,
    #[error("auth.jwt.jwks_file `{}` cannot be used", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The issuer does not answer.
    #[error("auth.jwt.jwks_url does not answer")]
    Http(#[source] reqwest::Error),
    /// The answer is too large.
    #[error("auth.jwt.jwks_url answers a key set that {0}")]
    Size(#[source] TooLarge),
    /// The answer is something else.
    #[error("auth.jwt.jwks_url answers something else")]
    NoKeys(#[from] NoKeys),
    /// A scope that values of the claim are to mean does not exist.
    #[error("auth.jwt.scopes")]
    Scope(#[from] UnknownScope),
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_costs_a_bounded_number_of_signature_checks() {
        // RFC 8037, A.2.
        let key =
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        for (published, expected) in [
            (1, NoKey::NotSigned),
            (MAX_CHECKS, NoKey::NotSigned),
            (MAX_CHECKS + 1, NoKey::TooMany),
            (1000, NoKey::TooMany),
        ] {
            let keys = json!({ "keys": vec![key.clone(); published] }).to_string();
            let keys = KeySet::parse(keys.as_bytes()).unwrap();
            let checks = Cell::new(0);
            let found = try_each::<()>(&keys, None, Algorithm::EdDSA, |_| {
                checks.set(checks.get() + 1);
                Checked::Other
            });
            assert_eq!(found.err(), Some(expected));
            assert_eq!(checks.get(), published.min(MAX_CHECKS));
        }
    }
}
