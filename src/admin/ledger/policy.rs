use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::Context;
use clap::Args;
use oubliette_ledger::LocalSigner;

use super::signer::{configured, open};
use crate::{admin::terminal::Output, config::LoadedConfig};

/// Prints the policy that trusts this ledger's key: for whoever checks receipts with `oubliette-verify`. Give it to them in another way than the receipts,
/// such as on your website.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin ledger policy --create > policy.txt
  oubliette-admin ledger policy")]
pub struct PolicyCommand {
    /// Make the key, if its file is not there. Keep a copy: what a lost key has signed stays good, but nothing new can be signed
    #[arg(long)]
    create: bool,
}

impl PolicyCommand {
    pub(super) fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let (origin, file) = configured(&loaded.config.ledger)?;
        if self.create && !file.exists() {
            create(file, &LocalSigner::generate(origin)?)
                .with_context(|| format!("the key file `{}`", file.display()))?;
        }
        Ok(open(origin, file)?.policy().into())
    }
}

/// A new file, its owner's alone.
fn create(file: &Path, key: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(key.as_bytes())?;
    file.sync_all()
}
