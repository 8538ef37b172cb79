//! Who is calling: the address that limits are counted for.

use std::net::IpAddr;

/// Who is calling. An extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientAddress(pub IpAddr);
