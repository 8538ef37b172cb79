use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::section::Section;

/// `[metrics]`: the listener for whoever watches the server. It has no authentication.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Address and port. Without, no metrics are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
}

impl Section for MetricsConfig {}
