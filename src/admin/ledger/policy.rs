use clap::Args;

use crate::{admin::terminal::Output, config::LoadedConfig, ledger};

/// Prints the policy that trusts this ledger's key, and those of ledger.former_keys: for whoever checks receipts with `oubliette-verify`. Give it to them in
/// another way than the receipts, such as on your website.
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
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let config = &loaded.config.ledger;
        if self.create {
            ledger::create_signer(config)?;
        }
        Ok(ledger::policy(config, Some(&ledger::public_key(config).await?))?.0.into())
    }
}
