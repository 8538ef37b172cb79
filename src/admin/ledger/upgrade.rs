use clap::Args;
use serde_json::json;

use crate::{
    access::revocation,
    admin::{
        context::{Actor, connect},
        terminal::{self, Output, confirm},
    },
    config::LoadedConfig,
    ledger::{self, EntryVersion},
};

/// Has entries written in the newest version from now on: with key commitments, and for revoked access tokens, too. Once, after an update from a
/// release before that; a new database begins with it.
///
/// A server of such a release takes an entry of a newer version for tampering, and answers nothing personal any more. So first end
/// all of those. Tokens that are revoked already get their entries. `keys verify` gives older data keys their commitments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin ledger status    # says in which version entries are written
  oubliette-admin ledger upgrade")]
pub struct Upgrade {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

impl Upgrade {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let db = connect(loaded).await?;
        let newest = EntryVersion::NEWEST;
        let is_needed = ledger::version(&db).await? < newest;
        if is_needed && !confirm("Do all servers run this release, or a later one?", self.yes)? {
            return Ok(Output { text: "nothing was done\n".to_owned(), status: 1 });
        }
        let origin = self.actor.origin();
        let upgraded = is_needed && ledger::upgrade(&db, &origin).await?;
        // Also what was not recorded the last time, if that was interrupted.
        revocation::record_all(&db, &origin).await?;
        db.close().await?;
        let number = newest.number();
        Ok(if self.json {
            terminal::json(&json!({ "entry_version": number, "upgraded": upgraded }))?
        } else if upgraded {
            format!("entries are written in version {number} from now on\n")
        } else {
            format!("entries are written in version {number} already\n")
        }
        .into())
    }
}
