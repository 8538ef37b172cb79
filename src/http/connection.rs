//! One connection, from its first byte to its last.
//!
//! A connection is worth its place while a request is in flight, and for a while after: the first request
//! has to come within [`Patience::first`], each other one within [`Patience::next`] of the last answer. So
//! it makes no difference whether a client says nothing, or too little, or reads no answers, and which
//! version of HTTP it does that in.

use std::{net::SocketAddr, pin::pin, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    activity::{Activity, Watcher},
    capacity::Capacity,
    tls::Tls,
};

/// Largest head of an HTTP/1 request, and the piece in which bodies are read.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Largest head of an HTTP/2 request, uncompressed.
const MAX_HEADER_LIST_BYTES: u32 = 32 * 1024;

/// Most HTTP/2 requests in flight on one connection.
const MAX_STREAMS: u32 = 64;

/// Most streams that a client opened and reset before we came to look at them: a flood of resets ends the
/// connection (CVE-2023-44487).
const MAX_RESET_STREAMS: usize = 20;

/// How long an answer may take to leave after the connection was told to close.
const LINGER: Duration = Duration::from_secs(5);

/// How long a connection may be without a request in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the beginning to the first request, a TLS handshake included.
    pub(super) first: Duration,
    /// From an answer to the next request.
    pub(super) next: Duration,
}

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) router: Router,
    pub(super) protocol: auto::Builder<TokioExecutor>,
    pub(super) tls: Option<Tls>,
    pub(super) patience: Patience,
    pub(super) capacity: Capacity,
    pub(super) stop: CancellationToken,
}

/// HTTP/1 and HTTP/2, told apart by how the client begins.
pub(super) fn protocol() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS);
    builder
}

impl Common {
    /// Serves a connection until one side closes it.
    pub(super) async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        // Answers are small: waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let first = Instant::now() + self.patience.first;
        let Some(tls) = &self.tls else { return self.speak(stream, peer, first).await };
        let shaken = tokio::select! {
            shaken = tls.accept(stream) => shaken,
            () = tokio::time::sleep_until(first) => return tracing::debug!("no TLS handshake in time"),
            () = self.capacity.give_way() => return,
            () = self.stop.cancelled() => return,
        };
        match shaken {
            Ok(stream) => self.speak(stream, peer, first).await,
            Err(error) => tracing::debug!(%error, "no TLS handshake"),
        }
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        first: Instant,
    ) {
        let activity = Activity::default();
        let mut watcher = activity.watch();
        let router = TowerToHyperService::new(self.router.clone());
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            let in_flight = activity.begin();
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = router.call(request);
            async move {
                let answer = answer.await;
                drop(in_flight);
                answer
            }
        });
        let mut connection = pin!(self.protocol.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            closed = connection.as_mut() => return ended(closed),
            () = self.stop.cancelled() => {}
            () = self.idle_for_too_long(&mut watcher, first) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            closed = connection => ended(closed),
            () = watcher.idle_for(LINGER) => {}
        }
    }

    /// Completes when the connection has to be closed, as there is no request in flight.
    async fn idle_for_too_long(&self, watcher: &mut Watcher, first: Instant) {
        let mut deadline = first;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return,
                () = self.capacity.give_way() => return,
                () = watcher.changed() => {}
            }
            watcher.idle().await;
            deadline = Instant::now() + self.patience.next;
        }
    }
}

/// A client that breaks off, or speaks something else, is not our fault.
fn ended<E: std::fmt::Display>(closed: Result<(), E>) {
    if let Err(error) = closed {
        tracing::debug!(%error, "a connection broke off");
    }
}
