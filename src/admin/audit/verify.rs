use clap::Args;
use serde_json::json;

use crate::{
    admin::{
        office::connect,
        terminal::{self, Output, counted},
    },
    audit::{self, Head, Verified},
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
    #[arg(long, value_name = "SEQUENCE:DIGEST")]
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
        let text = self.text(&verified)?;
        Ok(if verified.fault.is_none() { text.into() } else { Output::unwell(text) })
    }

    fn text(&self, verified: &Verified) -> anyhow::Result<String> {
        let Verified { sound, fault } = verified;
        if self.json {
            let fault = fault.as_ref().map(|fault| {
                json!({
                    "sequence": fault.sequence, "problem": fault.problem.as_str(), "text": fault.to_string(),
                })
            });
            return terminal::json(
                &json!({ "events": sound.sequence, "head": sound.to_string(), "fault": fault }),
            );
        }
        let events = counted(sound.sequence.cast_unsigned(), "event");
        Ok(match fault {
            None => format!("{events}, and nothing is wrong with them\nhead {sound}\n"),
            Some(fault) => format!("WRONG: {fault}\nbefore that, nothing is wrong with {events}\n"),
        })
    }
}
