use clap::Args;

use super::terminal::{Align, table};
use crate::config::{LoadedConfig, report};

/// Prints the effective configuration.
#[derive(Args, Debug)]
pub struct Config {
    /// One JSON array instead of a table
    #[arg(long)]
    json: bool,
}

impl Config {
    pub(super) fn run(self, loaded: &LoadedConfig) -> anyhow::Result<String> {
        let lines = report(loaded)?;
        if self.json {
            return Ok(serde_json::to_string_pretty(&lines)? + "\n");
        }
        let rows: Vec<_> = lines.into_iter().map(|line| [line.key, line.value, line.source]).collect();
        let header = [("KEY", Align::Left), ("VALUE", Align::Left), ("SET BY", Align::Left)];
        Ok(table(header, rows))
    }
}
