//! `clinic [FOLDER] [PORT]`: serves GraphQL at <http://127.0.0.1:8080/graphql>; what it keeps is in the folder.

use std::{env, error::Error, process::ExitCode, time::Duration};

use clinic::{Clinic, router};
use oubliette_keys::{causes, database};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().init();
    let ended = serve().await;
    if let Err(error) = &ended {
        tracing::error!("{}", causes::line(&**error));
    }
    u8::from(ended.is_err()).into()
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).unwrap_or_else(|| "clinic-data".into());
    let port = env::args_os().nth(2).map_or(Ok(8080), |port| port.to_string_lossy().parse())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let clinic = Clinic::open(folder.as_ref()).await?;
    tokio::spawn(clinic.keyring.clone().maintain());
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    tracing::info!("serving http://{}/graphql", listener.local_addr()?);
    let stop = async move {
        tokio::select! { _ = tokio::signal::ctrl_c() => {} _ = terminated.recv() => {} }
    };
    axum::serve(listener, router(clinic.clone())).with_graceful_shutdown(stop).await?;
    if !database::close(clinic.keyring.db().clone(), Duration::from_secs(5)).await? {
        tracing::warn!("{}", database::STILL_IN_THE_LOG);
    }
    Ok(())
}
