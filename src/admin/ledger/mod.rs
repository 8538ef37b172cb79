//! `oubliette-admin ledger`: the erasure ledger, without the API, and what to do when it went back.

mod adopt;
mod consistency;
mod export;
mod head;
mod mirror;
mod policy;
mod receipt;
mod replay;
mod status;
mod upgrade;
mod verify;

use clap::Subcommand;
use serde_json::{Value, json};

use super::terminal::{Output, counted_as, time};
use crate::{
    config::LoadedConfig,
    ledger::{self, rollbacks::Rollback},
};

/// What an operator can do with the erasure ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    #[command(about = "Check the whole ledger: whether anything was changed, deleted, moved, or cut off")]
    Verify(verify::Verify),
    #[command(about = "Print the ledger's head, to be kept elsewhere")]
    Head(head::HeadCommand),
    #[command(about = "Print the entries")]
    Export(export::Export),
    #[command(about = "Print the receipt of an erasure, which strangers can check")]
    Receipt(receipt::ReceiptCommand),
    #[command(about = "Print the policy by which strangers check receipts")]
    Policy(policy::PolicyCommand),
    #[command(about = "Check that the published log begins with an older one that was signed")]
    Consistency(consistency::ConsistencyCommand),
    #[command(about = "Show where the ledger ends, and whether it went back and waits to be adopted")]
    Status(status::Status),
    #[command(about = "Copy the published log to another place")]
    Mirror(mirror::MirrorCommand),
    #[command(
        about = "Bring in what the database lacks of the published log, and forget again whom it names"
    )]
    Replay(replay::Replay),
    #[command(about = "Adopt the ledger as it is, after it went back: servers answer about persons again")]
    Adopt(adopt::Adopt),
    #[command(about = "Have entries written in the newest version, once all servers read it")]
    Upgrade(upgrade::Upgrade),
}

impl LedgerCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        match self {
            Self::Verify(verify) => verify.run(loaded).await,
            Self::Head(head) => head.run(loaded).await,
            Self::Export(export) => export.run(loaded).await,
            Self::Receipt(receipt) => receipt.run(loaded).await,
            Self::Policy(policy) => policy.run(loaded).await,
            Self::Consistency(consistency) => consistency.run(loaded).await,
            Self::Status(status) => status.run(loaded).await,
            Self::Mirror(mirror) => mirror.run(loaded).await,
            Self::Replay(replay) => Box::pin(replay.run(loaded)).await,
            Self::Adopt(adopt) => adopt.run(loaded).await,
            Self::Upgrade(upgrade) => upgrade.run(loaded).await,
        }
    }
}

fn entries(number: u64) -> String {
    counted_as(number, ledger::words().entry, ledger::words().entries)
}

/// What waits, for people.
fn line(rollback: &Rollback) -> String {
    let row = rollback.row();
    format!("the ledger went back: {rollback} (noticed {} by {})", time(row.noticed_at), row.noticed_by)
}

/// The same for programs.
fn object(rollback: &Rollback) -> Value {
    let row = rollback.row();
    let place = |sequence: i64, digest: &[u8]| json!({ "sequence": sequence, "digest": hex::encode(digest) });
    json!({
        "id": row.id.to_string(), "seen": place(row.seen_sequence, &row.seen_digest),
        "found": place(row.found_sequence, &row.found_digest), "gone": rollback.to_string(),
        "noticed_at": time(row.noticed_at), "noticed_by": row.noticed_by,
    })
}
