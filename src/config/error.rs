//! Why a configuration cannot be used: each error names the key, and where its value stands.

use std::path::PathBuf;

use figment::{
    Figment,
    error::{Actual, Kind},
    value::Value,
};

use super::{
    EnvironmentError,
    place::{places, places_of},
    section::Invalid,
};
use crate::redaction;

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no file for the profile.
    #[error("there is no profile `{profile}`: `{}` does not exist (--config-dir or OUBLIETTE_CONFIG_DIR names another folder)", path.display())]
    NoProfile {
        profile: String,
        /// Where its file was looked for.
        path: PathBuf,
    },
    /// A key is unknown, its value does not fit, or does not go with others.
    #[error("configuration key `{key}` in {source_name}: {problem}")]
    Value {
        /// The key.
        key: String,
        /// The file, variable or flag.
        source_name: String,
        problem: String,
    },
    /// A file is missing, or is not TOML.
    #[error("configuration file `{source_name}`: {problem}")]
    File { source_name: String, problem: String },
    /// `--set` without a key, or without a `=`.
    #[error("`--set {0}` is not of the form section.key=value, such as http.listen=127.0.0.1:9000")]
    Override(String),
    /// A variable.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
}

impl ConfigError {
    /// A section refused a value.
    pub(super) fn invalid(figment: &Figment, Invalid { key, other, problem }: Invalid) -> Self {
        let source_name = places(figment, &key);
        let problem = match other {
            Some(other) => format!("{problem} (`{other}` in {})", places(figment, other)),
            None => problem,
        };
        Self::Value { key, source_name, problem }
    }

    /// A value does not fit its key, or a key is unknown. Figment knows the place of a bad value, not of an unknown key.
    pub(super) fn unfit(figment: &Figment, error: &figment::Error) -> Self {
        let mut key = error.path.clone();
        // An element of a list is not a key of its own.
        let is_list = |key: &[String]| matches!(figment.find_value(&key.join(".")), Ok(Value::Array(..)));
        if let Some((_, list)) = key.split_last().filter(|(_, list)| is_list(list)) {
            key.truncate(list.len());
        }
        let key = key.join(".");
        let source_name = match figment.find_value(&key) {
            Ok(_) => places(figment, &key),
            Err(_) => places_of(error.metadata.as_ref()),
        };
        let problem = without_secrets(&error.kind);
        if key.is_empty() {
            return Self::File { source_name, problem: without_snippet(&problem) };
        }
        Self::Value { key, source_name, problem }
    }
}

/// The TOML parser's message without the line it quotes, which may hold a password.
fn without_snippet(problem: &str) -> String {
    let is_snippet = |line: &str| {
        line.trim_start()
            .trim_start_matches(|digit: char| digit.is_ascii_digit())
            .trim_start()
            .starts_with('|')
    };
    let lines: Vec<_> = problem.lines().filter(|line| !line.is_empty() && !is_snippet(line)).collect();
    lines.join(": ")
}

/// What is wrong with a value. The library quotes it.
fn without_secrets(kind: &Kind) -> String {
    let shown = |actual: &Actual| match actual {
        Actual::Str(text) => Actual::Str(redaction::text(text).into_owned()),
        other => other.clone(),
    };
    let kind = match kind {
        Kind::InvalidType(actual, expected) => Kind::InvalidType(shown(actual), expected.clone()),
        Kind::InvalidValue(actual, expected) => Kind::InvalidValue(shown(actual), expected.clone()),
        Kind::UnknownVariant(text, expected) => Kind::UnknownVariant(redaction::text(text).into(), expected),
        other => other.clone(),
    };
    kind.to_string()
}
