use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Host;

use super::{
    WebOrigin,
    section::{Context, Invalid, Section},
};
use crate::redaction;

/// `[http]`: the HTTP listener.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port. Port 0 takes a free one; the log says which.
    pub listen: SocketAddr,
    /// Largest request body, in bytes. A larger one answers 413.
    pub max_body_bytes: usize,
    /// Longest time for one request. A slower one answers 504, or 408 if it is the body that did not come.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long a server that was told to stop waits for requests in flight.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
    /// Most open connections. Beyond it, those that are idle for longest give way.
    pub max_connections: NonZeroU32,
    /// Longest time from a new connection to the end of its first request's head, a TLS handshake included.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// Longest time that a connection stays open after a request without another one.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Networks of the proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Names that a request may be for. On a loopback address, those of this machine are among them.
    pub allowed_hosts: Vec<String>,
    /// TLS. Without, plain HTTP is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// Whether `GET /playground` serves GraphiQL.
    pub playground: bool,
    /// The origins whose pages may call `/graphql` from a browser. None: no other origin may.
    pub cors_allowed_origins: Vec<WebOrigin>,
}

/// `[http.tls]`: what the server proves with that it is who it is. Read again when the files change.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// A PEM file: the server's certificate, then those between it and a root.
    pub certificate: PathBuf,
    /// A PEM file: the certificate's private key.
    pub key: PathBuf,
}

impl HttpConfig {
    /// The [names](Self::allowed_hosts), or the first that is none.
    pub(crate) fn hosts(&self) -> Result<Vec<Host>, &str> {
        self.allowed_hosts.iter().map(|name| Host::parse(name).map_err(|_| name.as_str())).collect()
    }
}

impl Section for HttpConfig {
    fn validate(&self, _: &Context<'_>) -> Result<(), Invalid> {
        self.hosts().map(|_| ()).map_err(|name| {
            let name = redaction::text(name);
            let problem = "is no name and no address, such as oubliette.example.com; without scheme and port";
            Invalid::new("http.allowed_hosts", format!("`{name}` {problem}"))
        })
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8000).into(),
            max_body_bytes: 256 * 1024,
            request_timeout: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(30),
            max_connections: const { NonZeroU32::new(10_000).unwrap() },
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(2),
            trusted_proxies: Vec::new(),
            allowed_hosts: Vec::new(),
            tls: None,
            playground: false,
            cors_allowed_origins: Vec::new(),
        }
    }
}
