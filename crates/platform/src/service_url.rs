use std::{fmt, str::FromStr};

use serde::Deserialize;
use url::Url;

use crate::redaction;

/// Where a service answers. It may hold a password, or a token, and so is never printed whole.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ServiceUrl(Url);

impl ServiceUrl {
    /// All of it, for the code that calls the service.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// Where the service is, and no more: what comes after a path, or before a host, may be a secret.
    #[must_use]
    pub fn place(&self) -> Url {
        let mut place = self.0.clone();
        // Both fail for what has no host, and so no user.
        let _ = place.set_username("");
        let _ = place.set_password(None);
        place.set_query(None);
        place.set_fragment(None);
        place
    }
}

impl FromStr for ServiceUrl {
    type Err = ServiceUrlError;

    fn from_str(text: &str) -> Result<Self, ServiceUrlError> {
        Ok(Self(text.parse()?))
    }
}

impl TryFrom<String> for ServiceUrl {
    type Error = ServiceUrlError;

    fn try_from(text: String) -> Result<Self, ServiceUrlError> {
        text.parse()
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redaction::url(self.0.as_str()))
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceUrl({self})")
    }
}

/// A text is no URL. It is not quoted: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("not a URL such as https://service.example.com: {0}")]
pub struct ServiceUrlError(#[from] url::ParseError);
