use figment::value::Value;

use super::{LoadedConfig, keys_section, place::place};
use crate::redaction;

/// One value of the effective configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ConfigLine {
    /// The key, such as `http.listen`.
    pub key: String,
    /// The value. Secrets are redacted.
    pub value: String,
    /// The file, variable or flag that set it; `default` for the default in code.
    pub source: String,
}

/// The effective configuration, each value with what set it, sorted by key.
///
/// # Errors
///
/// Those of a source that became unreadable since the configuration was loaded.
pub fn report(loaded: &LoadedConfig) -> Result<Vec<ConfigLine>, Box<figment::Error>> {
    let root: Value = loaded.figment.extract()?;
    let mut lines = Vec::new();
    collect(loaded, String::new(), &root, &mut lines);
    Ok(lines)
}

fn collect(loaded: &LoadedConfig, key: String, value: &Value, lines: &mut Vec<ConfigLine>) {
    if let Value::Dict(_, dict) = value {
        for (name, value) in dict {
            let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            collect(loaded, key, value, lines);
        }
        return;
    }
    let source = loaded.figment.get_metadata(value.tag()).map_or_else(|| "default".to_owned(), place);
    let value = if keys_section::is_secret(&loaded.config.keys, &key) {
        redaction::SECRET.to_owned()
    } else {
        show(&key, value)
    };
    lines.push(ConfigLine { key, value, source });
}

fn show(key: &str, value: &Value) -> String {
    match (key, value) {
        // Whatever stands here is a secret, even if it is no URL.
        ("database.url", Value::String(_, url)) => redaction::url(url),
        (_, Value::String(_, text)) => redaction::text(text).into_owned(),
        (_, Value::Bool(_, value)) => value.to_string(),
        (_, Value::Num(_, number)) => {
            let signed = number.to_i128().map(|number| number.to_string());
            let unsigned = || number.to_u128().map(|number| number.to_string());
            signed.or_else(unsigned).unwrap_or_else(|| format!("{number:?}"))
        }
        (_, Value::Array(_, values)) => {
            let values: Vec<_> = values.iter().map(|value| show(key, value)).collect();
            format!("[{}]", values.join(", "))
        }
        (_, other) => format!("{other:?}"),
    }
}
