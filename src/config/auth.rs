use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    ServiceUrl,
    section::{Context, Invalid, Section},
};
use crate::loopback::is_loopback;

/// `[auth]`: who may call the API.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// How callers prove who they are.
    pub mode: AuthMode,
    /// Whose signatures are believed, if `mode` is `jwt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtConfig>,
}

/// How callers prove who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// They need not. On loopback only.
    Off,
    /// By an opaque token that `oubliette-admin tokens create` made.
    #[default]
    Tokens,
    /// By a JSON Web Token (RFC 7519) of an issuer of yours.
    Jwt,
}

/// `[auth.jwt]`: whose signatures are believed, and what their tokens allow.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must be, or hold.
    pub audience: String,
    /// The claim that must be, or hold, the audience, if an issuer has another one than `aud`: its name, or a JSON
    /// pointer.
    #[serde(default = "default_audience_claim")]
    pub audience_claim: String,
    /// Where the issuer's public keys are: a JSON Web Key Set (RFC 7517) over HTTPS.
    #[serde(default, skip_serializing)]
    pub jwks_url: Option<ServiceUrl>,
    /// The same, in a file. Instead of `jwks_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<PathBuf>,
    /// How often the keys are read again.
    #[serde(default = "default_refresh", with = "humantime_serde")]
    pub refresh: Duration,
    /// Keys that could not be read again for this long are believed no more.
    #[serde(default = "default_max_age", with = "humantime_serde")]
    pub max_age: Duration,
    /// The algorithms that are accepted.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<JwtAlgorithm>,
    /// How far the issuer's clock may be off.
    #[serde(default = "default_leeway", with = "humantime_serde")]
    pub leeway: Duration,
    /// The claim with the scopes: its name, or a JSON pointer (RFC 6901) such as `/realm_access/roles`. A text
    /// with spaces between the scopes, or a list.
    #[serde(default = "default_scopes_claim")]
    pub scopes_claim: String,
    /// What values of that claim mean here. Without, those that are names of our scopes mean themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scopes: BTreeMap<String, Vec<String>>,
    /// The claim that binds a token to one user, by the user's id: its name, or a JSON pointer.
    #[serde(default = "default_subject_claim")]
    pub subject_claim: String,
}

/// What signs a JSON Web Token. Symmetric algorithms, and `none`, are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum JwtAlgorithm {
    /// RSA (RFC 7518, 3.3) with SHA-256.
    RS256,
    /// ECDSA (RFC 7518, 3.4) on P-256 with SHA-256.
    ES256,
    /// EdDSA (RFC 8037) on Ed25519.
    EdDSA,
}

impl Section for AuthConfig {
    fn validate(&self, context: &Context<'_>) -> Result<(), Invalid> {
        let listen = context.config.http.listen;
        match (self.mode, &self.jwt) {
            (AuthMode::Off, _) if !listen.ip().is_loopback() => {
                let problem = format!(
                    "\"off\" lets anybody do everything, and http.listen = {listen} can be reached from other machines: set auth.mode to \"tokens\" or \"jwt\", or use a loopback address such as 127.0.0.1:8000"
                );
                Err(Invalid::new("auth.mode", problem).beside("http.listen"))
            }
            (AuthMode::Jwt, None) => {
                let problem = "\"jwt\" needs [auth.jwt] with issuer, audience, and jwks_url or jwks_file";
                Err(Invalid::new("auth.mode", problem))
            }
            (AuthMode::Jwt, Some(jwt)) => jwt.validate(context),
            (AuthMode::Off | AuthMode::Tokens, _) => Ok(()),
        }
    }
}

impl Section for JwtConfig {
    fn validate(&self, _: &Context<'_>) -> Result<(), Invalid> {
        let one_of_two = "needs one of jwks_url and jwks_file, not both";
        match (&self.jwks_url, &self.jwks_file) {
            (Some(url), None) if !is_safe(url.expose()) => {
                let problem =
                    format!("{url} is not HTTPS: anybody who can change the answer could sign for everybody");
                return Err(Invalid::new("auth.jwt.jwks_url", problem));
            }
            (Some(_), None) | (None, Some(_)) => {}
            (Some(_), Some(_)) => {
                let problem = format!("auth.jwt {one_of_two}");
                return Err(Invalid::new("auth.jwt.jwks_url", problem).beside("auth.jwt.jwks_file"));
            }
            (None, None) => return Err(Invalid::new("auth.jwt", one_of_two)),
        }
        // Would accept tokens for others.
        for (key, text) in [("auth.jwt.issuer", &self.issuer), ("auth.jwt.audience", &self.audience)] {
            if text.is_empty() {
                return Err(Invalid::new(key, "must not be empty"));
            }
        }
        for (key, claim) in [
            ("auth.jwt.audience_claim", &self.audience_claim),
            ("auth.jwt.scopes_claim", &self.scopes_claim),
            ("auth.jwt.subject_claim", &self.subject_claim),
        ] {
            if !is_claim(claim) {
                let problem = format!(
                    "\"{claim}\" is neither a claim's name, such as \"client_id\", nor a JSON pointer, such as \"/realm_access/roles\""
                );
                return Err(Invalid::new(key, problem));
            }
        }
        // Would accept tokens for others.
        let audience_claim = self.audience_claim.strip_prefix('/').unwrap_or(&self.audience_claim);
        if OF_EVERY_TOKEN.contains(&audience_claim) {
            let problem = format!(
                "\"{}\" does not tell whom a token is for; \"aud\" does, or \"client_id\" with AWS Cognito",
                self.audience_claim
            );
            return Err(Invalid::new("auth.jwt.audience_claim", problem));
        }
        if self.algorithms.is_empty() {
            let problem = "must not be empty: \"RS256\", \"ES256\", \"EdDSA\"";
            return Err(Invalid::new("auth.jwt.algorithms", problem));
        }
        // Otherwise keys would be forgotten before they are read again.
        if self.refresh.is_zero() || self.refresh >= self.max_age {
            let problem = "must be more than 0s and less than auth.jwt.max_age";
            return Err(Invalid::new("auth.jwt.refresh", problem).beside("auth.jwt.max_age"));
        }
        Ok(())
    }
}

/// Claims that tell whom a token is from, or when, never whom it is for (RFC 7519, 4.1).
const OF_EVERY_TOKEN: [&str; 6] = ["iss", "sub", "exp", "nbf", "iat", "jti"];

/// Whether a text names a claim: as it stands, or as a JSON pointer (RFC 6901). Of a slip here nobody would hear: a claim
/// that no token has binds nobody.
fn is_claim(text: &str) -> bool {
    let well_escaped = |part: &str| part.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    match text.strip_prefix('/') {
        Some(path) => path.split('/').all(|part| !part.is_empty() && well_escaped(part)),
        None => !text.is_empty() && text.trim() == text,
    }
}

/// Anybody who can change the answer can sign for everybody: so by HTTPS, or without leaving this machine.
fn is_safe(url: &url::Url) -> bool {
    let here = url.host().is_some_and(|host| is_loopback(&host));
    url.scheme() == "https" || (url.scheme() == "http" && here)
}

fn default_refresh() -> Duration {
    Duration::from_mins(10)
}

fn default_max_age() -> Duration {
    Duration::from_hours(24)
}

fn default_algorithms() -> Vec<JwtAlgorithm> {
    vec![JwtAlgorithm::RS256, JwtAlgorithm::ES256, JwtAlgorithm::EdDSA]
}

fn default_leeway() -> Duration {
    Duration::from_secs(30)
}

fn default_audience_claim() -> String {
    "aud".to_owned()
}

fn default_scopes_claim() -> String {
    "scope".to_owned()
}

fn default_subject_claim() -> String {
    "oubliette_subject".to_owned()
}

#[cfg(test)]
mod tests {
    use super::is_claim;

    #[test]
    fn a_claim_is_a_name_or_a_pointer() {
        for claim in ["aud", "client_id", "https://example.com/aud", "/a/b", "/a~1b/c~0d", "two words"] {
            assert!(is_claim(claim), "{claim}");
        }
        for claim in ["", " ", "aud ", "/", "//", "/a/", "/a//b", "/a~2", "/a~"] {
            assert!(!is_claim(claim), "{claim}");
        }
    }
}
