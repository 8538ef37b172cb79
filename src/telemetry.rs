//! Logs: structured, to standard error, without personal values.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::{LogConfig, LogFormat};

/// Parts of the libraries that would log the database's URL, or what its query holds. They are silent at every level.
const TELL_SECRETS: [&str; 2] = ["sqlx_postgres::options=off", "sea_orm::driver=off"];

/// Starts logging for the whole process. A second call changes nothing.
///
/// # Errors
///
/// A filter that does not parse.
pub fn start(config: &LogConfig) -> Result<(), ParseError> {
    let mut filter = EnvFilter::try_new(&config.filter)?;
    for silent in TELL_SECRETS {
        filter = filter.add_directive(silent.parse()?);
    }
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    let pretty = match config.format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    };
    let started = if pretty {
        builder.with_ansi(terminal).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
    // Somebody else logs already (a test): theirs stays.
    drop(started);
    Ok(())
}
