//! Who is calling: the address that limits are counted for.
//!
//! It is the other end of the TCP connection. Only if that is one of `http.trusted_proxies`, it is what the
//! proxy says in `X-Forwarded-For`: read from the right, where the nearest proxy writes, the first address
//! that is not a trusted proxy itself. What stands further left came from outside, and may be made up.
//!
//! `Forwarded` (RFC 7239) is not read: load balancers write the older header, and one that sets the
//! one would pass the other through as a client made it up.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, StatusCode},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;

use super::refusal::refuse;
use crate::errors::ErrorCode;

const HEADER: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who is calling. An extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientAddress(pub(super) IpAddr);

/// Finds out who is calling. Refuses what a trusted proxy says if it makes no sense: to take the proxy for
/// the client would put all its clients under one limit.
pub(super) async fn identify(
    State(proxies): State<Arc<[IpNet]>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    match client(peer.ip(), request.headers(), &proxies) {
        Some(address) => {
            request.extensions_mut().insert(ClientAddress(address));
            next.run(request).await
        }
        None => refuse(
            StatusCode::BAD_REQUEST,
            ErrorCode::BadRequest,
            "X-Forwarded-For, as a trusted proxy sent it, holds something else than addresses",
        ),
    }
}

/// `None` if a trusted proxy sent something else than addresses.
fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> Option<IpAddr> {
    let hops = headers.get_all(HEADER).iter().rev().flat_map(|value| value.as_bytes().rsplit(|&b| b == b','));
    let mut client = peer.to_canonical();
    for hop in hops {
        if !proxies.iter().any(|network| network.contains(&client)) {
            break;
        }
        client = address(hop)?.to_canonical();
    }
    Some(client)
}

/// An address, as proxies write it: some add the port.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(|| hop.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: [&str; 3] = ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"];

    /// Who the client is, if `peer` sends these headers.
    fn seen(peer: &str, forwarded: &[&str]) -> Option<String> {
        let proxies = PROXIES.map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(HEADER, value.parse().unwrap());
        }
        client(peer.parse().unwrap(), &headers, &proxies).map(|address| address.to_string())
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        for (peer, forwarded, expected) in [
            ("203.0.113.5", &[][..], "203.0.113.5"),
            ("203.0.113.5", &["198.51.100.1"], "203.0.113.5"),
            ("203.0.113.5", &["nonsense"], "203.0.113.5"),
            ("192.0.2.8", &["198.51.100.1"], "192.0.2.8"),
            ("10.1.2.3", &["198.51.100.1"], "198.51.100.1"),
            ("192.0.2.7", &["198.51.100.1"], "198.51.100.1"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
            ("::ffff:10.1.2.3", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("::ffff:203.0.113.5", &["198.51.100.1"], "203.0.113.5"),
        ] {
            assert_eq!(seen(peer, forwarded).as_deref(), Some(expected), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn what_a_client_makes_up_stands_left_of_what_a_proxy_adds() {
        for (forwarded, expected) in [
            (&["1.1.1.1, 198.51.100.1"][..], "198.51.100.1"),
            (&["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
            (&["1.1.1.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            (&["10.0.0.1, 198.51.100.1", "fd00::2, 192.0.2.7"], "198.51.100.1"),
            (&["nonsense,,x, 198.51.100.1"], "198.51.100.1"),
            (&["198.51.100.1:4711"], "198.51.100.1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            // Nobody is there but trusted proxies: the request began at the farthest.
            (&["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        ] {
            assert_eq!(seen("10.1.2.3", forwarded).as_deref(), Some(expected), "{forwarded:?}");
        }
    }

    #[test]
    fn nonsense_of_a_trusted_proxy_is_no_address() {
        for forwarded in
            ["", " ", "unknown", "198.51.100.1,", "198.51.100", "_hidden, 10.0.0.1", "::1::", "[::1"]
        {
            assert_eq!(seen("10.1.2.3", &[forwarded]), None, "{forwarded}");
        }
    }
}
