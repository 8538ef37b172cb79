use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::WebOrigin;

/// `[http]`: the HTTP listener.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port. Port 0 takes a free one; the log says which.
    pub listen: SocketAddr,
    /// Largest request body, in bytes. A larger one answers 413.
    pub max_body_bytes: usize,
    /// Longest time for one request. A slower one answers 504.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long a server that was told to stop waits for requests in flight.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
    /// Whether `GET /playground` serves GraphiQL.
    pub playground: bool,
    /// The origins whose pages may call `/graphql` from a browser. None: no other origin may.
    pub cors_allowed_origins: Vec<WebOrigin>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8000).into(),
            max_body_bytes: 256 * 1024,
            request_timeout: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(30),
            playground: false,
            cors_allowed_origins: Vec::new(),
        }
    }
}
