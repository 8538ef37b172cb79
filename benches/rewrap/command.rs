//! `oubliette-admin`, watched from outside.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::procfs;

/// A configuration to run it with.
#[derive(Debug)]
pub(crate) struct Admin {
    folder: TempDir,
}

/// What a run was seen to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// From the start of the process to its end.
    pub(crate) took: Duration,
    /// The most memory that was ever resident, in KiB.
    pub(crate) peak: u32,
}

impl Admin {
    /// `keys` is the section of the configuration.
    pub(crate) fn new(database: &str, keys: &str) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        fs::write(folder.path().join("default.toml"), "")?;
        fs::write(folder.path().join("bench.toml"), format!("[database]\nurl = \"{database}\"\n{keys}"))?;
        let admin = Self { folder };
        admin.run(&["migrate"])?;
        Ok(admin)
    }

    /// Moves all data keys to a wrapping key.
    pub(crate) fn rewrap(&self, to: &str, data_keys: usize, arguments: &[&str]) -> anyhow::Result<Seen> {
        let all = [&["keys", "rewrap", "--to", to, "--yes", "--json"], arguments].concat();
        let (seen, result) = self.last_line(&all)?;
        ensure!(result["done"] == data_keys && result["left"] == 0, "not all were moved: {result}");
        Ok(seen)
    }

    /// Runs a command that prints JSON lines, and gives the last of them.
    pub(crate) fn last_line(&self, arguments: &[&str]) -> anyhow::Result<(Seen, Value)> {
        let (seen, output) = self.run(arguments)?;
        Ok((seen, serde_json::from_str(output.lines().last().context("no result")?)?))
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<(Seen, String)> {
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_oubliette-admin"))
            .args(arguments)
            .env_clear()
            .env("OUBLIETTE_CONFIG_DIR", self.folder.path())
            .env("OUBLIETTE_PROFILE", "bench")
            .current_dir(self.folder.path())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdout = child.stdout.take().context("no output")?;
        let reader = thread::spawn(move || {
            let mut output = String::new();
            stdout.read_to_string(&mut output).map(|_| output)
        });
        let mut peak = 0;
        let status = loop {
            // Gone when it has ended and not been waited for.
            peak = procfs::memory(child.id()).map_or(peak, |memory| memory.peak);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            thread::sleep(Duration::from_millis(2));
        };
        let took = began.elapsed();
        ensure!(status.success(), "{arguments:?}: {status}");
        let output = reader.join().map_err(|_| anyhow::anyhow!("the reader died"))??;
        Ok((Seen { took, peak }, output))
    }
}
