use clap::Args;

use crate::{
    admin::{chain, context::connect, terminal::Output},
    audit,
    chain::Head,
    config::LoadedConfig,
};

/// Walks the whole trail, and says where it is first wrong, and how. Servers serve on.
///
/// Finds an event that was changed, deleted, replaced or moved, and a tail that was cut off. Whoever can write to the
/// database can also write a new trail that is sound in itself: only a head that was kept elsewhere shows that.
///
/// Exit status: 0 if all is as it should be, 1 if anything is not.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin audit verify
  oubliette-admin audit verify --head 4711:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef --json")]
pub struct Verify {
    /// A head that was kept elsewhere, as `audit head` printed it
    #[arg(long, value_name = "SEQUENCE:DIGEST", value_parser = kept)]
    head: Option<Head>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let db = connect(loaded).await?;
        let verified = audit::verify(&db, self.head.as_ref()).await?;
        db.close().await?;
        chain::verified(&verified, self.json)
    }
}

fn kept(text: &str) -> Result<Head, String> {
    chain::kept(text, "audit head")
}
