use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A TCP proxy that can lose its connections, hang, and lead elsewhere.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    target: watch::Sender<String>,
    state: watch::Sender<State>,
    /// Grows when the connections that there are shall end.
    generation: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Connections are closed, new ones as soon as they are made.
    Cut,
    /// Connections stay, and nothing passes.
    Stalled,
    /// Connections stay, and what is asked passes, but no answer.
    Mute,
}

impl Proxy {
    /// Passes connections on to `target`, an address.
    pub(crate) async fn start(target: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, watched) = watch::channel(State::Open);
        let (target, targets) = watch::channel(target);
        let (generation, generations) = watch::channel(0);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut generations = generations.clone();
                // What was before does not count.
                generations.mark_unchanged();
                let passing = pass(client, targets.borrow().clone(), watched.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = passing => {}
                        _ = generations.changed() => {}
                    }
                });
            }
        });
        Self { port, target, state, generation, accepting }
    }

    /// Passes new connections on to another address. Those that there are stay where they are.
    pub(crate) fn lead_to(&self, target: String) {
        self.target.send_replace(target);
    }

    /// Ends the connections that there are. New ones are passed on as before.
    pub(crate) fn drop_connections(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    pub(crate) fn stall(&self) {
        self.state.send_replace(State::Stalled);
    }

    /// What is asked gets there; the answers come after [`restore`](Self::restore).
    pub(crate) fn mute(&self) {
        self.state.send_replace(State::Mute);
    }

    pub(crate) fn restore(&self) {
        self.state.send_replace(State::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(mut client: TcpStream, target: String, mut state: watch::Receiver<State>) {
    let mut cut = state.clone();
    let passing = async {
        if state.wait_for(|state| *state == State::Open).await.is_err() {
            return;
        }
        let Ok(mut server) = TcpStream::connect(target).await else { return };
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = pump(from_client, to_server, state.clone(), &[State::Open, State::Mute]) => {}
            () = pump(from_server, to_client, state, &[State::Open]) => {}
        }
    };
    tokio::select! {
        () = passing => {}
        // An error: the proxy is gone, and with it its connections.
        _ = cut.wait_for(|state| *state == State::Cut) => {}
    }
}

/// Copies until one side closes; holds back what it read while it may not pass: in other states than these.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    passing: &[State],
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|state| passing.contains(state)).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
