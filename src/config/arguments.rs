use std::path::PathBuf;

use clap::Args;

use super::{ConfigSources, DEFAULT_PROFILE};

/// The arguments that say where configuration comes from: the same for both binaries.
#[derive(Args, Clone, Debug)]
pub struct ConfigArguments {
    /// Profile: which PROFILE.toml applies on top of default.toml
    #[arg(long, global = true, env = "OUBLIETTE_PROFILE", default_value = DEFAULT_PROFILE)]
    profile: String,
    /// Folder with default.toml and the profiles
    #[arg(long, global = true, env = "OUBLIETTE_CONFIG_DIR", default_value = "config", value_name = "DIR")]
    config_dir: PathBuf,
    /// Set one configuration key, over files and environment: --set http.listen=127.0.0.1:9000
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl From<ConfigArguments> for ConfigSources {
    fn from(arguments: ConfigArguments) -> Self {
        Self { dir: arguments.config_dir, profile: arguments.profile, overrides: arguments.set }
    }
}
