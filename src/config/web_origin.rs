use serde::{Deserialize, Serialize};
use url::Url;

use crate::redaction;

/// Where a page in a browser came from: scheme, host, and the port unless it is the scheme's own. Exactly what the
/// browser sends in `Origin`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebOrigin(String);

impl WebOrigin {
    /// The origin as browsers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = WebOriginError;

    fn try_from(text: String) -> Result<Self, WebOriginError> {
        if text.contains('*') {
            return Err(WebOriginError::Wildcard(redaction::text(&text).into()));
        }
        let origin = Url::parse(&text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .map(|url| url.origin().ascii_serialization());
        match origin {
            Some(origin) if origin == text => Ok(Self(text)),
            Some(origin) => Err(WebOriginError::NotExact { text: redaction::text(&text).into(), origin }),
            None => Err(WebOriginError::NotAnOrigin(redaction::text(&text).into())),
        }
    }
}

impl From<WebOrigin> for String {
    fn from(origin: WebOrigin) -> Self {
        origin.0
    }
}

/// A text is not an origin.
#[derive(Debug, thiserror::Error)]
pub enum WebOriginError {
    /// It stands for many origins.
    #[error(
        "`{0}` would let pages that nobody here has chosen use the API with what their reader may see; write each origin out, such as https://app.example.com"
    )]
    Wildcard(String),
    /// It is not the address of a website.
    #[error("`{0}` is not an origin such as https://app.example.com")]
    NotAnOrigin(String),
    /// No browser would send it.
    #[error("`{text}` is more than an origin, or written otherwise than browsers do; write `{origin}`")]
    NotExact {
        /// What was written.
        text: String,
        /// The origin in it.
        origin: String,
    },
}

#[cfg(test)]
mod tests {
    use super::WebOrigin;

    fn problem(text: &str) -> String {
        WebOrigin::try_from(text.to_owned()).unwrap_err().to_string()
    }

    #[test]
    fn what_a_browser_sends_is_an_origin() {
        for text in ["https://app.example.com", "http://127.0.0.1:5173", "http://[::1]:8080"] {
            assert_eq!(WebOrigin::try_from(text.to_owned()).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_wildcard_is_refused_with_the_reason() {
        for text in ["*", "https://*", "https://*.example.com"] {
            assert!(problem(text).contains("pages that nobody here has chosen"), "{text}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_refused_with_what_it_would() {
        for text in [
            "https://app.example.com/",
            "https://app.example.com/page",
            "https://APP.example.com",
            "https://app.example.com:443",
            "https://ada@app.example.com",
            " https://app.example.com",
        ] {
            assert!(problem(text).contains("write `https://app.example.com`"), "{text}");
        }
        for text in ["", "null", "app.example.com", "file:///", "data:text/html,x", "javascript:0"] {
            assert!(problem(text).contains("is not an origin"), "{text}");
        }
    }
}
