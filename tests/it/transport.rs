//! What stands between the network and the routes: TLS, connections and their limits, names, proxies, and the
//! listener for metrics.

mod connections;
mod database;
mod http2;
mod metrics;
mod names;
mod tls;

use std::time::Duration;

/// Longest wait for what takes a second. Generous, for busy machines.
const FOREVER: Duration = Duration::from_secs(30);

/// What `future` gives, which must be in time.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(FOREVER, future).await.expect("in time")
}
