use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Map, Value},
};

use super::{AuthMode, AwsKmsConfigError, BackendConfig, Config, DatabaseUrlError, JwtConfigError};

/// The profile used when none is named.
pub const DEFAULT_PROFILE: &str = "local";

/// The profile in which an unencrypted endpoint need not be on this machine.
const LOCALSTACK_PROFILE: &str = "localstack";

/// Environment variables of ours that are not configuration keys.
const NOT_KEYS: [&str; 2] = ["profile", "config_dir"];

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
            .merge(Toml::file_exact(&profile_file))
            .merge(environment());
        for text in &self.overrides {
            figment = figment.merge(Override::parse(text)?);
        }
        let config: Config = figment.extract().map_err(|error| explain(&figment, &error))?;
        check(&config, &self.profile)?;
        Ok(LoadedConfig { config, profile: self.profile.clone(), figment })
    }
}

/// `OUBLIETTE_HTTP__LISTEN` sets `http.listen`. Anything else with the prefix is an unknown key, so that
/// a slip in a name (one underscore for two) does not go unnoticed.
fn environment() -> Env {
    Env::prefixed("OUBLIETTE_")
        .filter(|key| !NOT_KEYS.iter().any(|name| key == *name) && !key.starts_with("TEST_"))
        .split("__")
}

/// One `--set section.key=value`.
struct Override {
    key: String,
    value: Value,
}

impl Override {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let malformed = || ConfigError::Override(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(malformed)?;
        let key = key.trim();
        if key.split('.').any(str::is_empty) {
            return Err(malformed());
        }
        let Ok(value) = value.parse();
        Ok(Self { key: key.to_owned(), value })
    }
}

impl Provider for Override {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("--set {}", self.key))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let dict = figment::util::nest(&self.key, self.value.clone()).into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}

/// What no single value can be checked for.
fn check(config: &Config, profile: &str) -> Result<(), ConfigError> {
    let keys = &config.keys;
    if !keys.backends.contains_key(&keys.active) {
        let names: Vec<_> = keys.backends.keys().map(String::as_str).collect();
        return Err(ConfigError::NoActiveBackend {
            active: keys.active.clone(),
            configured: names.join(", "),
        });
    }
    for (name, backend) in &keys.backends {
        match backend {
            BackendConfig::Local(local) if local.create_if_missing && profile != DEFAULT_PROFILE => {
                return Err(ConfigError::CreateOutsideLocal { backend: name.clone() });
            }
            BackendConfig::Local(_) => {}
            BackendConfig::AwsKms(aws) => aws
                .check(profile == LOCALSTACK_PROFILE)
                .map_err(|problem| ConfigError::AwsKms { backend: name.clone(), problem })?,
        }
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
        return Err(ConfigError::AllowedHost(name.to_owned()));
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
    // An element of a list is not a key of its own.
    let key = match error.path.split_last() {
        Some((index, key)) if index.parse::<usize>().is_ok() => key,
        _ => &error.path,
    };
    let path = key.join(".");
    let metadata = error.metadata.as_ref().or_else(|| figment.find_metadata(&path));
    let source = metadata.map_or_else(|| "the defaults".to_owned(), |metadata| place(metadata, &path));
    let problem = error.kind.to_string();
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

/// The file, variable or flag that a value came from.
pub(super) fn place(metadata: &Metadata, key: &str) -> String {
    match &metadata.source {
        Some(figment::Source::File(path)) => relative(path),
        _ if metadata.name.contains("environment") => {
            format!("OUBLIETTE_{}", key.to_uppercase().replace('.', "__"))
        }
        _ if metadata.name.starts_with("--set") => metadata.name.clone().into_owned(),
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
    /// Wrapping keys are made by themselves in the profile `local` only.
    #[error(
        "keys.backends.{backend}.create_if_missing works in the profile `local` only: elsewhere, a missing key file is a lost one"
    )]
    CreateOutsideLocal {
        /// The backend.
        backend: String,
    },
    /// A backend on AWS KMS.
    #[error("keys.backends.{backend}.{problem}")]
    AwsKms {
        /// The backend.
        backend: String,
        /// What is wrong, beginning with the key.
        problem: AwsKmsConfigError,
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
    /// Tokens of an issuer elsewhere.
    #[error(transparent)]
    Jwt(#[from] JwtConfigError),
    /// The database's URL.
    #[error(transparent)]
    DatabaseUrl(#[from] DatabaseUrlError),
}
