//! JSON Web Tokens (RFC 7519) of an issuer whose public keys we know, checked as RFC 8725 recommends: only
//! configured, asymmetric algorithms; issuer, audience and expiry are required.

mod claims;
mod key_set;
mod source;

use std::{collections::BTreeMap, sync::Arc};

use chrono::Utc;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, errors::ErrorKind};
use serde_json::{Map, Value};

use super::{AuthError, Caller, Scopes, UnknownScope};
use crate::config::{JwtAlgorithm, JwtConfig};
use source::Checked;
pub(super) use source::KeySource;
pub use source::KeySourceError;

/// Longest token that is looked at, in bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// Checks tokens of one issuer.
#[derive(Clone, Debug)]
pub(super) struct Jwt {
    keys: KeySource,
    config: Arc<JwtConfig>,
    /// What values of the claim with the scopes mean, if not themselves.
    meanings: Arc<BTreeMap<String, Scopes>>,
    subjects_per_minute: Option<u32>,
}

impl Jwt {
    /// Reads the issuer's keys. One who does not answer is asked again when a token comes.
    ///
    /// # Errors
    ///
    /// [`KeySourceError`] if the file with the keys cannot be used.
    pub(super) async fn open(
        config: &JwtConfig,
        subjects_per_minute: Option<u32>,
    ) -> Result<Self, KeySourceError> {
        Ok(Self {
            keys: KeySource::open(config).await?,
            meanings: Arc::new(meanings(config)?),
            config: Arc::new(config.clone()),
            subjects_per_minute,
        })
    }

    /// Where the keys come from.
    pub(super) fn keys(&self) -> &KeySource {
        &self.keys
    }

    /// Who sends this token, and what it allows.
    ///
    /// # Errors
    ///
    /// [`AuthError::Refused`] says why, for the log; [`AuthError::Unavailable`] if there are no keys to check it
    /// with.
    pub(super) async fn authenticate(&self, token: &str) -> Result<Caller, AuthError> {
        if token.len() > MAX_LENGTH {
            return Err(AuthError::Refused("the token is longer than 8 KiB"));
        }
        // Fails for `none`, and for whatever is no token at all.
        let header = decode_header(token).map_err(|_| AuthError::Refused("not a JSON Web Token"))?;
        if !self.config.algorithms.iter().any(|accepted| algorithm(*accepted) == header.alg) {
            return Err(AuthError::Refused("the token is signed by an algorithm that is not accepted"));
        }
        if header.crit.is_some() {
            return Err(AuthError::Refused("the token has critical headers, of which none are understood"));
        }
        let validation = self.validation(header.alg);
        let check = |key: &DecodingKey| match decode::<Map<String, Value>>(token, key, &validation) {
            Ok(data) => Checked::Signed(self.caller(&data.claims)),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => Checked::Other,
            Err(error) => Checked::Signed(Err(refused(&error))),
        };
        self.keys.check(header.kid.as_deref(), header.alg, check).await
    }

    fn caller(&self, claims: &Map<String, Value>) -> Result<Caller, AuthError> {
        claims::check_audience(claims, &self.config)?;
        let caller = claims::caller(claims, &self.config, &self.meanings, self.subjects_per_minute)?;
        if caller.has_expired(Utc::now()) { Err(EXPIRED) } else { Ok(caller) }
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.set_issuer(&[&self.config.issuer]);
        // Not every issuer says it in `aud`: `claims` looks.
        validation.validate_aud = false;
        validation.validate_nbf = true;
        validation.leeway = self.config.leeway.as_secs();
        validation
    }
}

const EXPIRED: AuthError = AuthError::Refused("the token has expired");

fn algorithm(accepted: JwtAlgorithm) -> Algorithm {
    match accepted {
        JwtAlgorithm::RS256 => Algorithm::RS256,
        JwtAlgorithm::ES256 => Algorithm::ES256,
        JwtAlgorithm::EdDSA => Algorithm::EdDSA,
    }
}

fn meanings(config: &JwtConfig) -> Result<BTreeMap<String, Scopes>, UnknownScope> {
    let scopes = |names: &[String]| {
        names.iter().try_fold(Scopes::default(), |all, name| Ok(all.and(&Scopes::named(name)?)))
    };
    config.scopes.iter().map(|(value, names)| Ok((value.clone(), scopes(names)?))).collect()
}

/// The library's reason without its text, which may quote the token.
fn refused(error: &jsonwebtoken::errors::Error) -> AuthError {
    match error.kind() {
        ErrorKind::ExpiredSignature => EXPIRED,
        ErrorKind::ImmatureSignature => AuthError::Refused("the token is not valid yet"),
        ErrorKind::InvalidIssuer => AuthError::Refused("the token is of another issuer"),
        ErrorKind::MissingRequiredClaim(_) => {
            AuthError::Refused("the token lacks one of the claims exp, iss, sub")
        }
        _ => AuthError::Refused("the token cannot be read"),
    }
}
