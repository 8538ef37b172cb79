use clap::Args;
use uuid::Uuid;

use crate::{
    admin::{context::connect, terminal::Output},
    config::LoadedConfig,
    ledger::{self, rollbacks},
};

/// Prints the receipt of an erasure, a c2sp.org/tlog-proof: whoever has it and the policy can check, offline, that the entry is in this ledger.
///
/// Reads the whole ledger, checks it, and signs its head. A ledger that is damaged, or went back, is not signed.
///
/// Exit status: 0 if there is one, 1 if nobody with this id was forgotten, or the ledger is not signed.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin ledger receipt 019abcde-0000-7000-8000-000000000001 > ada.tlog-proof
  oubliette-verify ada.tlog-proof --policy policy.txt")]
pub struct ReceiptCommand {
    /// Whose: a user's id
    subject: Uuid,
}

impl ReceiptCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let signer = ledger::open_signer(&loaded.config.ledger)?;
        let db = connect(loaded).await?;
        if let Some(rollback) = rollbacks::waiting_or(&db, &[]).await?.first() {
            anyhow::bail!(
                "nothing is signed, since the erasure ledger went back: {rollback}; see `oubliette-admin ledger status`"
            );
        }
        let receipt = ledger::receipt(&db, self.subject.into(), &signer).await?;
        db.close().await?;
        match receipt {
            Some(receipt) => Ok(receipt.to_string().into()),
            None => anyhow::bail!("nobody with the id {} was forgotten", self.subject),
        }
    }
}
