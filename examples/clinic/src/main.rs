//! `clinic [FOLDER]`: serves GraphQL at <http://127.0.0.1:8080/graphql>; what it keeps is in the folder.

use std::{error::Error, time::Duration};

use clinic::{Clinic, router};
use oubliette_keys::database;
use tokio::{net::TcpListener, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let folder = std::env::args_os().nth(1).unwrap_or_else(|| "clinic-data".into());
    let clinic = Clinic::open(folder.as_ref()).await?;
    tokio::spawn(clinic.keyring().clone().maintain());
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    tracing::info!("serving http://127.0.0.1:8080/graphql");
    let stop = async { drop(signal::ctrl_c().await) };
    axum::serve(listener, router(clinic.clone())).with_graceful_shutdown(stop).await?;
    if !database::close(clinic.keyring().db().clone(), Duration::from_secs(5)).await? {
        tracing::warn!("{}", database::STILL_IN_THE_LOG);
    }
    Ok(())
}
