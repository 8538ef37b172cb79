//! `oubliette`: the server. Arguments, configuration, run.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use oubliette::{
    app::App,
    causes,
    config::{ConfigArguments, ConfigSources},
    http,
    memory::{self, WipingAllocator},
    telemetry,
};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: WipingAllocator = memory::wiping_allocator();

/// Personal data that can truly be forgotten: a GraphQL API with one data key per person
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Every configuration key can be set by an environment variable: OUBLIETTE_HTTP__LISTEN sets http.listen.\n`oubliette-admin config` shows what is in effect, and who set it."
)]
struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
}

#[tokio::main]
async fn main() -> ExitCode {
    causes::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    let loaded = ConfigSources::from(Arguments::parse().config).load()?;
    let config = &loaded.config;
    telemetry::start(&config.log).context("log.filter is not a filter such as info,oubliette=debug")?;
    memory::harden(&config.memory)?;
    let stop = stop_signal()?;
    let app = App::start(config).await?;
    let peers = app.watch_peers().await.context("the erasure ledger cannot be read")?;
    let listener = http::listen(config.http.listen)
        .await
        .with_context(|| format!("cannot listen on {} (http.listen)", config.http.listen))?;
    let address = listener.local_addr()?;
    tracing::info!(profile = loaded.profile, keys = config.keys.active, %address, "serving http://{address}");
    if config.http.playground {
        tracing::info!("the playground is at http://{address}/playground");
    }
    tokio::spawn(app.keyring.keep_house());
    tokio::spawn(app.authenticator.keep_fresh());
    tokio::spawn(app.rates.keep_house());
    let peers = tokio::spawn(peers.keep_up());
    http::serve(listener, app.router, stop, config.http.shutdown_grace).await?;
    peers.abort();
    // What a client no longer waits for may still be changing something.
    let end = async {
        app.trail.close().await;
        app.db.close().await
    };
    match tokio::time::timeout(config.http.shutdown_grace, end).await {
        Ok(closed) => closed?,
        Err(_) => {
            tracing::warn!("changes were still being made; they are cut off, and the database undoes them");
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// Completes when the process is told to stop: SIGTERM or Ctrl-C.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: requests in flight are finished");
    })
}
