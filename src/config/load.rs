use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment, Metadata,
    error::{Actual, Kind},
    providers::{Format, Serialized, Toml},
    value::Value,
};

use super::{
    AuthMode, Config, DatabaseUrlError, EnvironmentError, JwtConfigError, backends, environment,
    setting::Setting, shape::Shape,
};
use crate::redaction;

/// The profile used when none is named.
pub const DEFAULT_PROFILE: &str = "local";

/// Where configuration comes from.
#[derive(Clone, Debug)]
pub struct ConfigSources {
    /// The folder with `default.toml` and the profiles.
    pub dir: PathBuf,
    /// Which `<profile>.toml` applies.
    pub profile: String,
    /// `section.key=value`, from the command line.
    pub overrides: Vec<String>,
}

/// A configuration, and where each value came from.
#[derive(Clone, Debug)]
pub struct LoadedConfig {
    /// The configuration.
    pub config: Config,
    /// The profile it was loaded for.
    pub profile: String,
    pub(super) figment: Figment,
}

impl ConfigSources {
    /// Reads, merges and checks the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the key, and the file or variable that set it.
    pub fn load(&self) -> Result<LoadedConfig, ConfigError> {
        let profile_file = self.dir.join(format!("{}.toml", self.profile));
        if !profile_file.is_file() {
            return Err(ConfigError::NoProfile { profile: self.profile.clone(), path: profile_file });
        }
        let mut figment = Figment::from(Serialized::defaults(Config::default()))
            .merge(Toml::file_exact(self.dir.join("default.toml")))
            .merge(Toml::file_exact(&profile_file));
        let shape = Shape::of_config().map_err(|error| explain(&figment, &error))?;
        for setting in environment::settings(std::env::vars_os(), &shape)? {
            figment = figment.merge(&setting);
        }
        for text in &self.overrides {
            figment = figment.merge(&Setting::from_flag(text, &shape)?);
        }
        let config: Config = figment.extract().map_err(|error| explain(&figment, &error))?;
        backends::check(&figment, &config.keys, &self.profile)?;
        check(&config)?;
        Ok(LoadedConfig { config, profile: self.profile.clone(), figment })
    }
}

/// What no single value can be checked for.
fn check(config: &Config) -> Result<(), ConfigError> {
    let keys = &config.keys;
    if !keys.backends.contains_key(&keys.active) {
        let names: Vec<_> = keys.backends.keys().map(String::as_str).collect();
        return Err(ConfigError::NoActiveBackend {
            active: redaction::text(&keys.active).into(),
            configured: names.join(", "),
        });
    }
    if keys.call_timeout >= config.http.request_timeout {
        return Err(ConfigError::CallTimeout);
    }
    if keys.cache.refresh_ahead > keys.cache.time_to_live / 2 {
        return Err(ConfigError::RefreshAhead);
    }
    if config.peers.poll_interval < Duration::from_millis(1) {
        return Err(ConfigError::PollInterval);
    }
    if let Err(name) = config.http.hosts() {
        return Err(ConfigError::AllowedHost(redaction::text(name).into()));
    }
    if config.auth.mode == AuthMode::Off && !config.http.listen.ip().is_loopback() {
        return Err(ConfigError::AuthOffBeyondLoopback { listen: config.http.listen });
    }
    if config.auth.mode == AuthMode::Jwt {
        let Some(jwt) = &config.auth.jwt else { return Err(JwtConfigError::Missing.into()) };
        jwt.check()?;
    }
    config.database.url()?;
    Ok(())
}

/// Says where a bad value stands. Figment knows it for a bad value, not for an unknown key.
fn explain(figment: &Figment, error: &figment::Error) -> ConfigError {
    let mut key = error.path.clone();
    // An element of a list is not a key of its own.
    let is_list = |key: &[String]| matches!(figment.find_value(&key.join(".")), Ok(Value::Array(..)));
    if let Some((_, list)) = key.split_last().filter(|(_, list)| is_list(list)) {
        key.truncate(list.len());
    }
    let path = key.join(".");
    let mut sources = Vec::new();
    match figment.find_value(&path) {
        Ok(value) => collect_places(figment, &value, &mut sources),
        Err(_) => sources.extend(error.metadata.as_ref().map(place)),
    }
    let source = if sources.is_empty() { "the defaults".to_owned() } else { sources.join(", ") };
    let problem = without_secrets(&error.kind);
    if path.is_empty() {
        return ConfigError::File { source_name: source, problem: without_snippet(&problem) };
    }
    ConfigError::Value { key: path, source_name: source, problem }
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

/// All that had a say in a value.
pub(super) fn collect_places(figment: &Figment, value: &Value, places: &mut Vec<String>) {
    if let Value::Dict(_, dict) = value {
        for value in dict.values() {
            collect_places(figment, value, places);
        }
        return;
    }
    let place = figment.get_metadata(value.tag()).map(place);
    places.extend(place.filter(|place| !places.contains(place)));
}

/// The file, variable or flag that a value came from.
pub(super) fn place(metadata: &Metadata) -> String {
    match &metadata.source {
        Some(figment::Source::File(path)) => relative(path),
        // Settings have the name of their variable or flag.
        _ if metadata.source.is_none() => metadata.name.clone().into_owned(),
        _ => "default".to_owned(),
    }
}

fn relative(path: &Path) -> String {
    let current = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&current).unwrap_or(path).display().to_string()
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no file for the profile.
    #[error("there is no profile `{profile}`: `{}` does not exist (--config-dir or OUBLIETTE_CONFIG_DIR names another folder)", path.display())]
    NoProfile {
        /// The profile.
        profile: String,
        /// Where its file was looked for.
        path: PathBuf,
    },
    /// A key is unknown, or its value does not fit.
    #[error("configuration key `{key}` in {source_name}: {problem}")]
    Value {
        /// The key.
        key: String,
        /// The file, variable or flag.
        source_name: String,
        /// What is wrong.
        problem: String,
    },
    /// A file is missing, or is not TOML.
    #[error("configuration file `{source_name}`: {problem}")]
    File {
        /// The file.
        source_name: String,
        /// What is wrong.
        problem: String,
    },
    /// `--set` without a key, or without a `=`.
    #[error("`--set {0}` is not of the form section.key=value, such as http.listen=127.0.0.1:9000")]
    Override(String),
    /// `keys.active` names no backend.
    #[error("keys.active = \"{active}\" names no backend; configured under [keys.backends]: {configured}")]
    NoActiveBackend {
        /// What `keys.active` says.
        active: String,
        /// The backends there are.
        configured: String,
    },
    /// A client would learn nothing but that the request took too long.
    #[error("keys.call_timeout must be shorter than http.request_timeout")]
    CallTimeout,
    /// Keys would be unwrapped again and again.
    #[error("keys.cache.refresh_ahead must be at most half of keys.cache.time_to_live; 0s switches it off")]
    RefreshAhead,
    /// The database would be asked without a pause.
    #[error("peers.poll_interval must be at least 1ms")]
    PollInterval,
    /// No request could ever be for such a host.
    #[error(
        "http.allowed_hosts: `{0}` is no name and no address, such as oubliette.example.com; without scheme and port"
    )]
    AllowedHost(String),
    /// Without access control, whoever reaches the port can do everything.
    #[error(
        "auth.mode = \"off\" lets anybody do everything, and http.listen = {listen} can be reached from other machines: set auth.mode to \"tokens\" or \"jwt\", or use a loopback address such as 127.0.0.1:8000"
    )]
    AuthOffBeyondLoopback {
        /// The address.
        listen: SocketAddr,
    },
    /// A variable.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// Tokens of an issuer elsewhere.
    #[error(transparent)]
    Jwt(#[from] JwtConfigError),
    /// The database's URL.
    #[error(transparent)]
    DatabaseUrl(#[from] DatabaseUrlError),
}
