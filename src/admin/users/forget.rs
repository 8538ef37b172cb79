use clap::Args;
use serde_json::json;
use uuid::Uuid;

use crate::{
    admin::{
        context::{Actor, AdminContext},
        terminal::{self, Output, confirm, time},
    },
    config::LoadedConfig,
    envelope::SubjectId,
    ledger::Erasure,
};

/// Forgets a user: destroys the data keys and the row, and records the erasure. Needs no key backend. Nothing
/// brings the data back.
///
/// Forgetting twice prints the first erasure. A server that has the user's data key in its cache drops it within
/// a second.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  oubliette-admin users forget 019abcde-0000-7000-8000-000000000001")]
pub struct Forget {
    /// The user's id
    id: Uuid,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// One JSON object: the receipt
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

impl Forget {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let context = AdminContext::open(loaded).await?;
        let users = context.users();
        let subject = SubjectId::from(self.id);
        if users.erasure(subject).await?.is_none() {
            let user = users.find(subject).await?;
            let name =
                user.map_or_else(|| self.id.to_string(), |user| format!("{} ({})", user.username(), self.id));
            if !confirm(&format!("Forget {name}, for good?"), self.yes)? {
                return Ok(Output { text: "nothing was done\n".to_owned(), status: 1 });
            }
        }
        let erasure = users.forget(subject, &self.actor.origin()).await?;
        context.close().await?;
        Ok(receipt(&erasure, self.json)?.into())
    }
}

/// The proof of an erasure.
pub(super) fn receipt(erasure: &Erasure, json: bool) -> anyhow::Result<String> {
    let erased_at = time(erasure.erased_at);
    let digest = hex::encode(&erasure.digest);
    if json {
        return terminal::json(&json!({
            "user_id": erasure.subject.to_string(), "erased_at": erased_at, "sequence": erasure.sequence,
            "digest": digest,
        }));
    }
    Ok(format!(
        "forgotten  {}\nat         {erased_at}\nsequence   {}\ndigest     {digest}\n",
        erasure.subject, erasure.sequence
    ))
}
