use anyhow::ensure;
use clap::Args;

use super::status::{sink_line, undone_line};
use crate::{
    access::revocation,
    admin::{
        context::{Actor, AdminContext},
        terminal::{Output, say},
    },
    config::LoadedConfig,
    ledger,
    sinks::{self, InspectedSink, Receipts, SinkHealth, SinkMetrics, SinkState, Sinks},
};

/// Does what a start of a server does: compares the database with each sink. What the database lacks, as after a restored backup, is brought in, and
/// everybody in it is forgotten again. What a sink lacks is published, signed.
///
/// Exit status: 0 if each sink is good then and has all of the ledger, and no rotation of data keys is undone, else 1.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  oubliette-admin ledger replay    # a restored database, before any server starts")]
pub struct Replay {
    #[command(flatten)]
    actor: Actor,
}

impl Replay {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let config = &loaded.config.ledger;
        ensure!(
            !config.sinks.is_empty(),
            "there is no sink: [ledger.sinks.NAME] keeps the ledger outside the database"
        );
        let context = AdminContext::open(loaded).await?;
        let (users, keyring) = (context.users(), context.keyring());
        let before = ledger::end(&context.db).await?;
        let mut sinks = Sinks::open(
            config,
            context.db.clone(),
            users.clone(),
            keyring,
            SinkHealth::new(config),
            SinkMetrics::default(),
            &Receipts::default(),
        )
        .await?;
        sinks.begin().await;
        // One look publishes some thousands of entries at most.
        while sinks.are_growing().await {}
        let origin = self.actor.origin();
        // Also whom the database's own ledger names.
        let returned = users.forget_the_returned(&origin).await?;
        let revoked = revocation::revoke_the_returned(&context.db, &origin).await?;
        if returned + revoked > 0 {
            say(&format!(
                "of the database's own ledger: {returned} forgotten again, {revoked} tokens revoked again"
            ));
        }
        sinks.finish().await;
        let undone = ledger::undone_rotations(&context.db).await?;
        let end = ledger::end(&context.db).await?;
        let found = sinks::inspect(config, &context.db).await?.sinks;
        context.close().await?;
        let mut text = format!("before     the ledger ended at {before}\nnow        it ends at {end}\n");
        for sink in &found {
            text.push_str(&sink_line(sink, end.sequence));
            text.push('\n');
        }
        for undone in &undone {
            text.push_str(&undone_line(undone));
            text.push('\n');
        }
        let is_whole = |sink: &InspectedSink| {
            sink.state == SinkState::Good
                && sink.head.as_ref().is_some_and(|head| head.sequence >= end.sequence)
        };
        let is_well = undone.is_empty() && found.iter().all(is_whole);
        Ok(if is_well { text.into() } else { Output::unwell(text) })
    }
}
