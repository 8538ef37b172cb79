//! Which names a request may be for.
//!
//! A page on the internet can make a browser send requests to this machine under a name of its own, whose
//! address it changed to 127.0.0.1 (DNS rebinding). Such a request says the foreign name in `Host`. So a
//! listener on a loopback address answers to this machine's names only.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header::HOST, uri::Authority},
    middleware::Next,
    response::Response,
};
use url::Host;

use super::refusal::refuse;
use crate::{config::HttpConfig, errors::ErrorCode, loopback::is_loopback};

/// The names.
#[derive(Clone, Debug)]
pub(super) enum Hosts {
    /// All: other machines may know this one under any name.
    Any,
    /// Some.
    These {
        /// Whether this machine's own are among them.
        own: bool,
        /// The others.
        allowed: Arc<[Host]>,
    },
}

impl Hosts {
    pub(super) fn of(config: &HttpConfig) -> Self {
        // What is no name was refused with the configuration.
        let allowed: Arc<[_]> = config.hosts().unwrap_or_default().into();
        let own = config.listen.ip().is_loopback();
        if own || !config.allowed_hosts.is_empty() { Self::These { own, allowed } } else { Self::Any }
    }

    /// Those of a listener that has no names of its own.
    pub(super) fn of_listener(address: SocketAddr) -> Self {
        if address.ip().is_loopback() {
            Self::These { own: true, allowed: Arc::default() }
        } else {
            Self::Any
        }
    }

    /// Whether all names that a request says are among these, and it says one.
    fn permit(&self, request: &Request) -> bool {
        let Self::These { own, allowed } = self else { return true };
        let headers = request.headers().get_all(HOST).iter().map(|value| {
            let authority = Authority::try_from(value.as_bytes()).ok()?;
            host(&authority)
        });
        let mut names = request.uri().authority().map(host).into_iter().chain(headers).peekable();
        names.peek().is_some()
            && names
                .all(|name| name.is_some_and(|name| allowed.contains(&name) || (*own && is_loopback(&name))))
    }
}

pub(super) async fn check(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    if hosts.permit(&request) {
        return next.run(request).await;
    }
    refuse(
        StatusCode::MISDIRECTED_REQUEST,
        ErrorCode::BadRequest,
        "this server does not answer under the name in the request's Host; http.allowed_hosts adds names",
    )
}

/// `None` if it holds more than a host and a port.
fn host(authority: &Authority) -> Option<Host> {
    if authority.as_str().contains('@') {
        return None;
    }
    Host::parse(authority.host()).ok()
}
