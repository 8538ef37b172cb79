use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;
use oubliette_ledger::{Receipt, SignedCheckpoint};

use super::entries;
use crate::{
    admin::{context::connect, terminal::Output},
    config::LoadedConfig,
    ledger,
    sinks::{self, Consistency},
};

/// Checks that the published log begins with an older one: nothing of what was signed then was changed or left out since.
///
/// Exit status: 0 if it does, 1 if it does not, or nobody can tell.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin ledger consistency --from ada.tlog-proof
  oubliette-admin ledger consistency --from checkpoint-of-last-year")]
pub struct ConsistencyCommand {
    /// A file with what was signed: a receipt, or the object `checkpoint` of a sink as it was
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
}

impl ConsistencyCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let named = || format!("`{}`", self.from.display());
        let text = std::fs::read_to_string(&self.from).with_context(named)?;
        let old = match text.parse::<Receipt>() {
            Ok(receipt) => receipt.checkpoint,
            Err(no_receipt) => match SignedCheckpoint::parse(&text) {
                Ok(checkpoint) => checkpoint,
                Err(no_checkpoint) => bail!("{} is neither: {no_receipt}; {no_checkpoint}", named()),
            },
        };
        let config = &loaded.config.ledger;
        ensure!(
            !config.sinks.is_empty(),
            "there is no sink: [ledger.sinks.NAME] keeps the ledger outside the database"
        );
        let (_, policy) = ledger::policy(config, Some(&ledger::public_key(config).await?))?;
        old.verify(&policy).with_context(named)?;
        let db = connect(loaded).await?;
        let found = sinks::inspect(config, &db).await?;
        db.close().await?;
        let before = entries(old.size());
        match found.consistency(&old).await? {
            Some((sink, Consistency::Begins { size })) => Ok(format!(
                "the log in the sink `{sink}`, of {}, begins with the one of {before} that was signed then\n",
                entries(size)
            )
            .into()),
            Some((sink, Consistency::Differs { size })) => Ok(Output::unwell(format!(
                "WRONG: the log in the sink `{sink}`, of {}, does not begin with the one of {before} that was signed then: two histories were signed\n",
                entries(size)
            ))),
            None => {
                bail!("no sink could be read that has as many entries: see `oubliette-admin ledger status`")
            }
        }
    }
}
