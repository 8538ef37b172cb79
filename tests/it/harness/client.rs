use std::time::Duration;

use reqwest::Client;

/// Keeps no connection until the server closes it: a request that is sent just then fails.
pub(crate) fn client() -> Client {
    Client::builder().pool_idle_timeout(Duration::from_secs(5)).build().unwrap()
}
