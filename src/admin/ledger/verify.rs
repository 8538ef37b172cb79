use clap::Args;

use crate::{
    admin::{chain, context::connect, terminal::Output},
    chain::Head,
    config::LoadedConfig,
    ledger,
};

/// Walks the whole ledger, and says where it is first wrong, and how. Servers serve on.
///
/// Finds an entry that was changed, deleted, replaced or moved, and a tail that was cut off. Somebody who can write to the
/// database can also write a new ledger that is sound in itself: only a head that was kept elsewhere, or a receipt, shows that.
///
/// Exit status: 0 if all is as it should be, 1 if anything is not.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin ledger verify
  oubliette-admin ledger verify --head 3:f8f5af72ec5089341a18e31c4240306a95eb945af04a87da5c6756128b1d0eaf --json")]
pub struct Verify {
    /// A head that was kept elsewhere, as `ledger head` printed it; or sequence and digest of a receipt
    #[arg(long, value_name = "SEQUENCE:DIGEST", value_parser = kept)]
    head: Option<Head>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let db = connect(loaded).await?;
        let verified = ledger::verify(&db, self.head.as_ref()).await?;
        db.close().await?;
        chain::verified(&verified, self.json)
    }
}

fn kept(text: &str) -> Result<Head, String> {
    chain::kept(text, "ledger head")
}
