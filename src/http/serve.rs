use std::{
    future::{Future, pending},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    capacity::Capacity,
    connection::{Common, Patience, protocol},
    file_limit,
    tls::{Renewal, Tls, TlsError},
};
use crate::config::HttpConfig;

/// How long no connection is taken after that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// Connections that wait to be taken, at most; the system has a limit of its own (`net.core.somaxconn`, 4,096 on Linux).
/// Beyond it clients wait for seconds, or are cut off: with less, thousands who come at once would be.
const BACKLOG: u32 = 4096;

/// Takes the listening address.
///
/// # Errors
///
/// The operating system's, such as an address in use.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As `TcpListener::bind` has it: a server that was just stopped is no reason to wait.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How a listener's connections are treated: what they speak, how many there may be, and for how long.
#[derive(Debug)]
pub struct Connections {
    tls: Option<(Tls, Renewal)>,
    patience: Patience,
    capacity: Capacity,
    grace: Duration,
}

impl Connections {
    /// As configured. TLS, if there is `[http.tls]`.
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the file that cannot be used.
    pub async fn open(config: &HttpConfig) -> Result<Self, TlsError> {
        let tls = match &config.tls {
            Some(files) => Some(Tls::open(files).await?),
            None => None,
        };
        Ok(Self { tls, ..Self::plain(config) })
    }

    /// As configured, but without TLS.
    #[must_use]
    pub fn plain(config: &HttpConfig) -> Self {
        Self {
            tls: None,
            patience: Patience { first: config.header_timeout, next: config.idle_timeout },
            capacity: Capacity::new(file_limit::permitted(config.max_connections.get())),
            grace: config.shutdown_grace,
        }
    }
}

/// Serves until `stop` completes, then takes no new connections and lets requests in flight finish, for at
/// most `http.shutdown_grace`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections: Connections,
    stop: impl Future<Output = ()>,
) {
    let Connections { tls, patience, capacity, grace } = connections;
    let (tls, renewal) = tls.unzip();
    let stopping = CancellationToken::new();
    let common =
        Arc::new(Common { router, protocol: protocol(), tls, patience, capacity, stop: stopping.clone() });
    let renew = async {
        match renewal {
            Some(renewal) => renewal.follow().await,
            None => pending().await,
        }
    };
    let mut open = JoinSet::new();
    tokio::select! {
        () = stop => {}
        () = accept(&listener, &common, &mut open) => {}
        () = renew => {}
    }
    drop(listener);
    stopping.cancel();
    let closed = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, closed).await.is_err() {
        tracing::warn!("requests were still in flight after {grace:?}; they are cut off");
    }
}

/// Takes connections for ever.
async fn accept(listener: &TcpListener, common: &Arc<Common>, open: &mut JoinSet<()>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                refused(&error, &common.capacity).await;
                continue;
            }
        };
        let Some(room) = common.capacity.take().await else { return };
        let common = common.clone();
        open.spawn(async move {
            common.serve(stream, peer).await;
            drop(room);
        });
    }
}

/// A client that changed its mind does not matter. Anything else is this machine's trouble, such as too many
/// open files: it must not end the server, and passes only if something is closed.
async fn refused(error: &io::Error, capacity: &Capacity) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::error!(%error, "no connection can be taken");
    capacity.make_room_for(PAUSE).await;
}
