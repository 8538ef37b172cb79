use std::path::PathBuf;

use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
};

use super::{Config, ConfigError, environment, setting::Setting, shape::Shape};

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
        let shape = Shape::of_config().map_err(|error| ConfigError::unfit(&figment, &error))?;
        for setting in environment::settings(std::env::vars_os(), &shape)? {
            figment = figment.merge(&setting);
        }
        for text in &self.overrides {
            figment = figment.merge(&Setting::from_flag(text, &shape)?);
        }
        let config: Config = figment.extract().map_err(|error| ConfigError::unfit(&figment, &error))?;
        config.validate(&self.profile).map_err(|invalid| ConfigError::invalid(&figment, invalid))?;
        Ok(LoadedConfig { config, profile: self.profile.clone(), figment })
    }
}
