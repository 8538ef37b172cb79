//! `oubliette`: the server. Arguments, configuration, run.

use std::{future::pending, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use oubliette::{
    app::App,
    config::{ConfigArguments, ConfigSources},
    database, exit,
    http::{self, Connections},
    memory::{self, WipingAllocator},
    telemetry,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

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
    exit::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    let loaded = ConfigSources::from(Arguments::parse().config).load()?;
    let config = &loaded.config;
    telemetry::start(&config.log).context("log.filter is not a filter such as info,oubliette=debug")?;
    memory::harden(&config.memory)?;
    let mut stop = Box::pin(stop_signal()?);
    let connections = Connections::open(&config.http).await?;
    let app = tokio::select! {
        app = Box::pin(App::start(config)) => app?,
        // Another process may migrate, for as long as it takes.
        () = &mut stop => {
            tracing::info!("stopped before it served");
            return Ok(());
        }
    };
    let peers = app.watch_peers().await.context("the erasure ledger cannot be read")?;
    let watchers = match config.metrics.listen {
        Some(address) => Some(listen("metrics.listen", address).await?),
        None => None,
    };
    let listener = listen("http.listen", config.http.listen).await?;
    if let Some(listener) = &watchers {
        let metrics_address = listener.local_addr()?;
        tracing::info!(%metrics_address, "metrics, for everybody who can reach it: http://{metrics_address}/metrics");
    }
    let address = listener.local_addr()?;
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    tracing::info!(profile = loaded.profile, keys = config.keys.active, %address, "serving {scheme}://{address}");
    if config.http.playground {
        tracing::info!("the playground is at {scheme}://{address}/playground");
    }
    tokio::spawn(app.keyring.maintain());
    tokio::spawn(app.authenticator.keep_fresh());
    tokio::spawn(app.rates.maintain());
    tokio::spawn(app.refusals.clone().maintain(app.trail.clone()));
    let peers = tokio::spawn(peers.follow());
    let mut sinks = app.sinks;
    let (stop_sinks, stopped) = tokio::sync::oneshot::channel::<()>();
    let sinks = tokio::spawn(async move {
        tokio::select! {
            () = sinks.watch() => {}
            _ = stopped => {}
        }
        sinks
    });
    let serving = http::serve(listener, app.router, connections, stop);
    match watchers {
        Some(listener) => {
            let connections = Connections::plain(&config.http);
            let watched = http::serve(listener, app.metrics_router, connections, pending());
            // Those who watch see the last request, too.
            tokio::select! {
                () = serving => {}
                () = watched => {}
            }
        }
        None => serving.await,
    }
    peers.abort();
    // What a client no longer waits for may still be changing something.
    let end = async {
        app.refusals.finish(&app.trail);
        app.trail.close().await;
        drop(stop_sinks);
        if let Ok(mut sinks) = sinks.await {
            sinks.finish().await;
        }
        database::close(app.db, Duration::ZERO).await
    };
    match tokio::time::timeout(config.http.shutdown_grace, end).await {
        Ok(closed) => {
            if !closed? {
                tracing::warn!("{}", database::STILL_IN_THE_LOG);
            }
        }
        Err(_) => {
            tracing::warn!("changes were still being made; they are cut off, and the database undoes them");
        }
    }
    tracing::info!("stopped");
    Ok(())
}

async fn listen(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    http::listen(address).await.with_context(|| format!("cannot listen on {address} ({key})"))
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
