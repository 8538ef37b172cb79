//! What `[database]` must fulfil to be used by this program.

use super::{
    DatabaseConfig, DatabaseUrlError,
    section::{Context, Invalid, Section},
};
use crate::causes;

const URL: &str = "database.url";
const URL_FILE: &str = "database.url_file";

impl Section for DatabaseConfig {
    fn validate(&self, _: &Context<'_>) -> Result<(), Invalid> {
        let Err(error) = self.url() else { return Ok(()) };
        let problem = causes::line(&error);
        // Where the URL comes from.
        let url = if self.url_file.is_some() { URL_FILE } else { URL };
        Err(match error {
            DatabaseUrlError::Both => {
                Invalid::new(URL, format!("{URL} and {URL_FILE} are both set: remove one")).beside(URL_FILE)
            }
            DatabaseUrlError::Unverified => {
                Invalid::new(url, problem).beside("database.require_verified_tls")
            }
            DatabaseUrlError::Neither
            | DatabaseUrlError::TargetSessionAttrs
            | DatabaseUrlError::File { .. } => Invalid::new(url, problem),
        })
    }
}
