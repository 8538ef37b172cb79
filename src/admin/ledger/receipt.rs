use clap::Args;
use oubliette_ledger::Receipt;
use sea_orm::DatabaseConnection;
use uuid::Uuid;

use crate::{
    admin::{context::connect, terminal::Output},
    config::{LedgerConfig, LoadedConfig},
    ledger::{self, rollbacks},
    sinks,
};

/// Prints the receipt of an erasure, a c2sp.org/tlog-proof: whoever has it and the policy can check, offline, that the entry is in this ledger.
///
/// It is what was published to a sink. Where there is none, the whole ledger is read and checked, and its head is signed; a ledger that is damaged, or went back,
/// is not.
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
        let db = connect(loaded).await?;
        if let Some(rollback) = rollbacks::waiting_or(&db, &[]).await?.first() {
            anyhow::bail!(
                "nothing is signed, since the erasure ledger went back: {rollback}; see `oubliette-admin ledger status`"
            );
        }
        let config = &loaded.config.ledger;
        let receipt = if config.sinks.is_empty() {
            let signer = ledger::open_signer(config).await?;
            ledger::receipt(&db, self.subject.into(), &signer).await?
        } else {
            published(config, &db, self.subject).await?
        };
        db.close().await?;
        match receipt {
            Some(receipt) => Ok(receipt.to_string().into()),
            None => anyhow::bail!("nobody with the id {} was forgotten", self.subject),
        }
    }
}

/// The receipt by what was published: nothing else is signed where there is a sink.
async fn published(
    config: &LedgerConfig,
    db: &DatabaseConnection,
    subject: Uuid,
) -> anyhow::Result<Option<Receipt>> {
    let Some(erasure) = ledger::find(db, subject.into()).await? else { return Ok(None) };
    match sinks::inspect(config, db).await?.receipt(&erasure).await? {
        Some(receipt) => Ok(Some(receipt)),
        None => anyhow::bail!(
            "entry {} is in no sink yet that could be read: a running server publishes it within a second; see `oubliette-admin ledger status`",
            erasure.sequence
        ),
    }
}
