//! URLs for people to read: without what may be a secret. The only place that decides that.

use std::borrow::Cow;

use url::{Position, Url};

/// What stands in a secret's place.
const REDACTED: &str = "redacted";

/// What is shown of a text that is a secret as a whole.
pub const SECRET: &str = "[redacted]";

/// Parameters of databases and of AWS that are worth reading and hold no secret. What is not known may be one.
const HARMLESS: [&str; 20] = [
    "application_name",
    "cache",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "immutable",
    "mode",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "target_session_attrs",
    "user",
    "vfs",
];

/// A URL without its password, and without what its query may hold of the kind. Nothing of what cannot be made sense of.
#[must_use]
pub fn url(text: &str) -> String {
    let shown = Url::parse(text).ok().and_then(|parsed| {
        let shown = redacted(parsed.clone())?;
        // The parser writes some things otherwise, such as a missing last slash.
        Some(if shown == parsed { text.to_owned() } else { shown.into() })
    });
    shown.unwrap_or_else(|| SECRET.to_owned())
}

/// The same for a text that may be something else: what is no URL stays.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    let is_url = text.contains("://") || Url::parse(text).is_ok_and(|url| url.has_host());
    if is_url { url(text).into() } else { text.into() }
}

fn redacted(mut url: Url) -> Option<Url> {
    // In what has no host, a password can stand anywhere: only SQLite's path is known to hold none.
    if !url.has_host() && url.scheme() != "sqlite" {
        return None;
    }
    // A password with a `/`, `?` or `#` that is not escaped ends where nobody meant it to.
    if url.has_host() && url[Position::BeforePath..].contains('@') {
        return None;
    }
    if url.password().is_some() {
        url.set_password(Some(REDACTED)).ok()?;
    } else if url.scheme().starts_with("http") && !url.username().is_empty() {
        // The name of a database's user is only that. Services of the web also take a token in its place.
        url.set_username(REDACTED).ok()?;
    }
    let pairs: Vec<_> = url.query_pairs().map(|(name, value)| parameter(&name, &value)).collect();
    if url.query().is_some()
        && !url.query_pairs().map(|(name, value)| (name.into(), value.into())).eq(pairs.iter().cloned())
    {
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    if url.fragment().is_some() {
        url.set_fragment(Some(REDACTED));
    }
    Some(url)
}

fn parameter(name: &str, value: &str) -> (String, String) {
    if HARMLESS.contains(&name) {
        (name.to_owned(), value.to_owned())
    } else if value.is_empty() {
        // Nothing tells a name from a secret that stands alone.
        (REDACTED.to_owned(), String::new())
    } else {
        (name.to_owned(), REDACTED.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{text, url};

    #[test]
    fn a_secret_is_redacted_wherever_it_stands() {
        for (whole, shown) in [
            ("postgres://ada:s3cret@db:5432/x", "postgres://ada:redacted@db:5432/x"),
            ("postgres://ada@db/x?password=s3cret", "postgres://ada@db/x?password=redacted"),
            (
                "postgres://ada@db/x?p%61ssword=s3cret&sslmode=require",
                "postgres://ada@db/x?password=redacted&sslmode=require",
            ),
            ("postgres://ada@db/x?sslpassword=s3cret", "postgres://ada@db/x?sslpassword=redacted"),
            ("https://ada:s3cret@issuer.example/jwks", "https://ada:redacted@issuer.example/jwks"),
            ("https:ada:s3cret@issuer.example/jwks", "https://ada:redacted@issuer.example/jwks"),
            ("https://s3cret@issuer.example/", "https://redacted@issuer.example/"),
            (
                "https://issuer.example/?token=s3cret&p=s3cret",
                "https://issuer.example/?token=redacted&p=redacted",
            ),
            ("https://issuer.example/?s3cret", "https://issuer.example/?redacted="),
            ("https://issuer.example/#s3cret", "https://issuer.example/#redacted"),
            ("not a url: s3cret", "[redacted]"),
            ("ada:s3cret@db:5432/x", "[redacted]"),
            ("postgres:ada:s3cret@db:5432/x", "[redacted]"),
            ("postgres://ada:s3c#ret@db/x", "[redacted]"),
            // What is not escaped ends the password early: the rest stands in the path.
            ("postgres://ada:/s3cret@db/x", "[redacted]"),
            ("postgres://ada:1/s3cret@db:5432/x", "[redacted]"),
            ("postgres://ada:p@ss/s3cret@db/x", "[redacted]"),
            ("postgres://ada:12#s3cret@db", "[redacted]"),
            ("postgres://ada:12?s3cret@db", "[redacted]"),
            ("", "[redacted]"),
        ] {
            assert_eq!(url(whole), shown);
            assert!(!shown.contains("s3c"), "{shown}");
        }
    }

    #[test]
    fn what_holds_no_secret_stays_as_it_was_written() {
        for whole in [
            "sqlite:data/x.db",
            "sqlite://data/x.db?mode=rwc",
            "sqlite::memory:",
            "postgres://ada@db/x?sslmode=verify-full&sslrootcert=/ca.pem",
            "https://issuer.example",
            "http://127.0.0.1:4566",
        ] {
            assert_eq!(url(whole), whole);
            assert_eq!(text(whole), whole);
        }
        for whole in [
            "info,oubliette=debug",
            "arn:aws:kms:eu-central-1:111122223333:key/x",
            "127.0.0.1:80",
            "[::1]:80",
            "0012",
            "",
        ] {
            assert_eq!(text(whole), whole);
        }
        assert_eq!(text("tcp://ada:s3cret@x"), "tcp://ada:redacted@x");
    }
}
