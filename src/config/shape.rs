use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
    value::Value,
};

use super::{BackendConfig, Config};
use crate::keys::KINDS;

/// Stands for every name that an operator may choose.
const ANY: &str = "*";

/// Everything that is not there by default. Backends show theirs themselves.
const SPECIMEN: &str = r#"
    [http.tls]
    certificate = ""
    key = ""
    [auth.jwt]
    issuer = ""
    audience = ""
    scopes = { "*" = [] }
    [attributes."*"]
    kind = "text"
    max_length = 1
    pattern = ""
    normalise = []
    mask = "hidden"
    search = "none"
    unique = false
    [ledger]
    origin = "x"
    [ledger.signer]
    kind = "local"
    file = ""
    create_if_missing = false
"#;

/// Which keys take something else than a text. A variable and a flag are nothing but texts: `0012` is a number for a key that
/// takes one, and else a text with two zeros.
#[derive(Debug)]
pub(super) struct Shape(Value);

impl Shape {
    /// The shape of [`Config`], as its own serialisation shows it.
    pub(super) fn of_config() -> Result<Self, Box<figment::Error>> {
        let mut config: Config = Figment::from(Toml::string(SPECIMEN)).extract()?;
        let mut all = Figment::from(Serialized::defaults(config.clone()));
        for kind in KINDS {
            let backend = BackendConfig { kind: kind.name().to_owned(), settings: kind.specimen() };
            config.keys.backends = [(ANY.to_owned(), backend)].into();
            all = all.merge(Serialized::defaults(&config));
        }
        Ok(Self(all.extract()?))
    }

    /// What a text means as the value of this key.
    pub(super) fn read(&self, path: &[String], text: &str) -> Value {
        let takes_text = matches!(self.at(path), None | Some(Value::String(..)));
        let Ok(value) = text.parse::<Value>();
        if takes_text { as_text(text, value).into() } else { value }
    }

    fn at(&self, path: &[String]) -> Option<&Value> {
        path.iter().try_fold(&self.0, |value, name| {
            let dict = value.as_dict()?;
            dict.get(name).or_else(|| dict.get(ANY))
        })
    }
}

/// White space around a text is nobody's intention: often a secret ends with the line break of the file that it came from. What
/// is meant to have some stands in quotes, as in TOML.
fn as_text(text: &str, parsed: Value) -> String {
    let text = text.trim();
    match parsed {
        Value::String(_, unquoted) if text.starts_with('"') => unquoted,
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &str, text: &str) -> Value {
        let path: Vec<_> = key.split('.').map(str::to_owned).collect();
        Shape::of_config().unwrap().read(&path, text)
    }

    #[test]
    fn what_takes_a_text_gets_it_as_it_was_written() {
        for key in [
            "database.url",
            "database.url_file",
            "keys.active",
            "keys.backends.mine.key_id",
            "keys.backends.mine.profile",
            "keys.backends.mine.context.tenant",
            "keys.backends.mine.connect_timeout",
            "auth.jwt.audience",
            "auth.jwt.subject_claim",
            "http.tls.key",
            "http.request_timeout",
            "metrics.listen",
            "log.filter",
        ] {
            for text in
                ["0012", "12", "-1", "1e5", "1.50", "true", "false", "null", "[a]", "{a=b}", "'a'", "", "a b"]
            {
                assert_eq!(read(key, text), Value::from(text), "{key}");
            }
        }
    }

    #[test]
    fn what_takes_something_else_gets_that() {
        for (key, text, value) in [
            ("http.max_body_bytes", "0012", Value::from(12_u32)),
            ("database.max_connections", " 3 ", Value::from(3_u32)),
            ("keys.backends.mine.max_attempts", "5", Value::from(5_u32)),
            ("http.playground", "true", Value::from(true)),
            ("keys.backends.mine.create_if_missing", "true", Value::from(true)),
            ("http.allowed_hosts", r#"["0012"]"#, Value::from(vec!["0012"])),
            ("auth.jwt.algorithms", "[ES256]", Value::from(vec!["ES256"])),
            ("auth.jwt.scopes.Support", r#"["users:read"]"#, Value::from(vec!["users:read"])),
        ] {
            assert_eq!(read(key, text), value, "{key}");
        }
    }

    #[test]
    fn a_text_may_be_quoted_and_is_trimmed() {
        for (text, value) in [
            ("  a\n", "a"),
            (r#""0012""#, "0012"),
            (r#"" a ""#, " a "),
            (r#""a" and "b""#, r#""a" and "b""#),
            (r#"""#, r#"""#),
        ] {
            assert_eq!(read("database.url", text), Value::from(value));
        }
    }
}
