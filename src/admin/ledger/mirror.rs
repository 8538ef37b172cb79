use anyhow::{Context, ensure};
use clap::Args;

use super::entries;
use crate::{
    admin::{context::connect, terminal::Output},
    config::{LoadedConfig, SinkConfig, SinkUrl},
    sinks,
};

/// Copies the log of a sink to another place, such as a disk that is then taken away; later, only what is new. Each entry is verified there.
///
/// Nothing that is there is changed. The copy is a whole sink: it can be put in the place of one that was lost.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  oubliette-admin ledger mirror --to file:///media/disk/ledger
  oubliette-admin ledger mirror --from archive --to s3://other-bucket/ledger")]
pub struct MirrorCommand {
    /// The place: file:///PATH, s3://BUCKET/PREFIX, gs://…, az://…
    #[arg(long, value_name = "URL", value_parser = url)]
    to: SinkUrl,
    /// The sink, as the configuration names it [default: the first good one]
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
}

impl MirrorCommand {
    pub(super) async fn run(self, loaded: &LoadedConfig) -> anyhow::Result<Output> {
        let config = &loaded.config.ledger;
        ensure!(
            self.from.as_ref().is_none_or(|name| config.sinks.contains_key(name)),
            "there is no sink of that name: see `oubliette-admin ledger status`"
        );
        ensure!(
            config.sinks.values().all(|sink| sink.url != self.to),
            "that is a sink of the configuration: servers publish there by themselves"
        );
        let db = connect(loaded).await?;
        let found = sinks::inspect(config, &db).await?;
        db.close().await?;
        let to = SinkConfig { url: self.to.clone(), endpoint_url: None, region: None };
        let copied = found.copy(self.from.as_deref(), &to).await;
        let (from, copied) = copied.with_context(|| format!("{} was not brought to the end", self.to))?;
        Ok(format!("{} copied from the sink `{from}` to {}\n", entries(copied), self.to).into())
    }
}

fn url(text: &str) -> Result<SinkUrl, String> {
    SinkUrl::try_from(text.to_owned()).map_err(|error| error.to_string())
}
